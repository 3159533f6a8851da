# The token service as an image: docker build -t tokensvc .
# The base image is pinned by its version. To pin it by its digest as well, look that up and write
# python:3.11.14-slim-bookworm@sha256:... in both places; take up newer patch versions as they come.

FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# Every file is held against its hash here; what comes after takes from these files alone. The lock pins the tools of
# developers too, which go no further than this stage. --only-binary: no compiler, and no code of a package runs.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --only-binary=:all: --dest=/wheels --requirement=requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY tokensvc ./tokensvc
# Versions are those of the lock: no others are in /wheels.
# hadolint ignore=DL3013
RUN python -m venv /build \
    && /build/bin/pip install --quiet --no-index --find-links=/wheels hatchling \
    && /build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir=/wheels . \
    && python -m venv --without-pip /opt/tokensvc \
    && pip --python=/opt/tokensvc/bin/python install --quiet --no-index --find-links=/wheels "tokensvc[server]"


FROM python:3.11.14-slim-bookworm

COPY --from=build /opt/tokensvc /opt/tokensvc
# The rule takes every name with TOKEN in it for a secret's.
# hadolint ignore=DL3064
ENV PATH="/opt/tokensvc/bin:$PATH" PYTHONUNBUFFERED=1 TOKENSVC_CONFIG=/etc/tokensvc/tokensvc.toml
WORKDIR /etc/tokensvc

# A number: platforms that refuse root cannot tell it from a name. It owns nothing, so nothing can be changed as it.
USER 10001:10001
EXPOSE 8700

# Ready: the store answers and the signing key can be read. http.client asks no proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8700, timeout=4); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"]

ENTRYPOINT ["tokensvc"]
CMD ["serve"]
