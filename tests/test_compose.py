"""compose.yaml and the Dockerfile: no container is started here, but every command in them is, on this machine."""

import http.client
import json
import re
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import pytest
import requests
import yaml

from tests.processes import TIMEOUT_S, environment, read_until, run, running
from tests.programs import require_programs
from tokensvc.wiring import bind

ROOT: Final = Path(__file__).resolve().parents[1]
SERVICES: Final = ("tokensvc", "redis", "tls", "demo-idp", "init")
ISSUER: Final = "https://localhost:8700"


class StrictLoader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no type information
    """Refuses a key that stands twice, of which YAML readers silently take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401 - YAML
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key stands twice: {keys}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.load(text, Loader=StrictLoader))  # noqa: S506 - a safe loader that is stricter


COMPOSE: Final = read_yaml((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")


def service(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", COMPOSE["services"][name])


def command_of(value: Sequence[str], paths: Mapping[str, object] | None = None) -> list[str]:
    """What the container would run: Compose's `$$` is a dollar; the container's paths become those of the test."""
    words = [word.replace("$$", "$") for word in value]
    for old, new in (paths or {}).items():
        words = [word.replace(old, str(new)) for word in words]
    return words


# What is written


def test_it_is_one_yaml_document_in_which_no_key_stands_twice() -> None:
    assert set(COMPOSE["services"]) == set(SERVICES)
    assert read_yaml("a: 1\nb: 2\n") == {"a": 1, "b": 2}
    with pytest.raises(yaml.constructor.ConstructorError, match="twice"):
        read_yaml("a: 1\na: 2\n")


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    said = service(name)

    assert said["user"] == "${RUN_AS:-1000:1000}"
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said["networks"] == ["inside"]
    assert set(said["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert said["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all("noexec" in tmpfs and "size=" in tmpfs for tmpfs in said["tmpfs"])
    assert said.keys().isdisjoint({"privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "env_file"})


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-alpine)?", service(name)["image"])


def test_our_image_has_our_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    ours = {name for name in SERVICES if service(name).get("build") == "."}
    assert ours == {"tokensvc", "demo-idp", "init"}
    assert {service(name)["image"] for name in ours} == {f"tokensvc:{version[1]}"}


def test_one_port_is_published_on_this_machine_alone() -> None:
    ports = {name: service(name)["ports"] for name in SERVICES if "ports" in service(name)}

    assert ports == {"tls": ["127.0.0.1:8700:8443"]}
    assert service("tokensvc")["environment"]["TOKENSVC_ISSUER"] == ISSUER


def test_everything_that_stays_is_healthy_before_what_needs_it_starts() -> None:
    for name in ("redis", "tls", "demo-idp"):
        assert service(name)["healthcheck"]["test"][0] == "CMD"
    assert "HEALTHCHECK" in DOCKERFILE
    assert "healthcheck" not in service("tokensvc")
    needs = {name: set(service(name).get("depends_on", {})) for name in SERVICES}
    assert needs["tokensvc"] == {"redis"}
    assert needs["tls"] == {"tokensvc", "demo-idp"}
    assert all(
        need["condition"] == "service_healthy"
        for name in SERVICES
        for need in service(name).get("depends_on", {}).values()
    )


def test_mounts_exist_once_init_has_run_and_only_state_may_be_written(initialised: Path) -> None:
    mounts = [(name, mount) for name in SERVICES for mount in service(name)["volumes"]]

    assert {mount["source"] for _, mount in mounts} >= {"./keys", "./policies", "./tokensvc.toml"}
    for _, mount in mounts:
        assert (mount["type"], mount["bind"]) == ("bind", {"create_host_path": False})
        assert (initialised / mount["source"]).exists()
    assert {(name, mount["source"]) for name, mount in mounts if not mount.get("read_only")} == {
        ("redis", "./compose/state/redis"),
        ("init", "."),
    }
    assert (initialised / COMPOSE["secrets"]["redis_password"]["file"]).is_file()


def test_no_secret_stands_in_it_and_none_goes_into_the_image() -> None:
    allowed = (ROOT / ".dockerignore").read_text("utf-8").split("*\n", 1)[1].split()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }

    assert {name.removeprefix("!") for name in allowed if name.startswith("!")} == copied
    assert not re.search(
        r"(?i)(password|secret|key)\s*[:=]\s*[\"']?[A-Za-z0-9_-]{8}", (ROOT / "compose.yaml").read_text("utf-8")
    )


def test_what_init_writes_is_never_committed(initialised: Path) -> None:
    require_programs("git")
    (initialised / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    (initialised / "keys" / ".gitignore").write_bytes((ROOT / "keys" / ".gitignore").read_bytes())
    run(["git", "init", "-q"], initialised)
    listed = run(["git", "status", "--short", "--untracked-files=all"], initialised).stdout.split()

    assert sorted(listed[1::2]) == [".gitignore", "compose/nginx.conf", "keys/.gitignore", "policies/README.md"]


# What is run


@pytest.fixture(scope="module")
def said_of_init(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A checkout as the service `init` leaves it, and what that said."""
    require_programs("sh", "openssl")
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "keys").mkdir()
    (folder / "keys").chmod(0o775)
    for path in ("policies/README.md", "compose/nginx.conf"):
        (folder / path).parent.mkdir()
        shutil.copy(ROOT / path, folder / path)
    done = run_init(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


@pytest.fixture(scope="module")
def initialised(said_of_init: tuple[Path, str]) -> Path:
    return said_of_init[0]


def run_init(folder: Path) -> subprocess.CompletedProcess[str]:
    said = service("init")
    return run([*said["entrypoint"], *command_of(said["command"])], folder, **said["environment"])


def test_init_makes_everything_private_and_changes_nothing_when_it_runs_again(initialised: Path) -> None:
    private = ["tokensvc.toml", "idp-dev.jwk.json", "compose/state/redis-password", "compose/state/tls/key.pem"]
    before = {path: path.read_bytes() for path in initialised.rglob("*") if path.is_file()}
    again = run_init(initialised)

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert {path: path.read_bytes() for path in initialised.rglob("*") if path.is_file()} == before
    assert all(stat.S_IMODE((initialised / name).stat().st_mode) == 0o600 for name in private)
    assert stat.S_IMODE((initialised / "keys").stat().st_mode) == 0o700


def in_container(folder: Path) -> dict[str, object]:
    """Where the container's paths are on this machine."""
    return {
        "/run/secrets/redis_password": folder / "compose/state/redis-password",
        "/data": folder / "compose/state/redis",
    }


def environment_of_service(folder: Path) -> dict[str, str]:
    said = service("tokensvc")["environment"]
    return dict(zip(said, command_of(said.values(), in_container(folder)), strict=True))


def test_the_service_takes_the_configuration_that_compose_gives_it(initialised: Path) -> None:
    environ = environment_of_service(initialised)
    checked = run(["tokensvc", "check-config", "--json"], initialised, **environ)

    assert json.loads(checked.stdout)["ok"] is True
    assert json.loads(checked.stdout)["issuer"] == ISSUER
    # Over http it does not listen there.
    plain = {**environ, "TOKENSVC_ISSUER": "http://localhost:8700"}
    problems = json.loads(run(["tokensvc", "check-config", "--json"], initialised, **plain).stdout)["problems"]
    assert [problem["key"] for problem in problems] == ["server.host"]


@contextmanager
def redis(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Redis as Compose starts it, but on a free port: the process, the port, and the words of its health check."""
    require_programs("sh", "redis-server", "redis-cli")
    with closing(bind("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    paths = {
        **in_container(folder),
        "redis-server - ": f"redis-server - --bind 127.0.0.1 --port {port} ",
        "redis-cli": f"redis-cli -p {port}",
    }
    with running(command_of(service("redis")["command"], paths), folder) as process:
        read_until(process, "Ready to accept connections")
        yield process, port, command_of(service("redis")["healthcheck"]["test"][1:], paths)


def test_redis_keeps_everything_and_lets_in_only_who_knows_the_password(initialised: Path) -> None:
    password = (initialised / "compose/state/redis-password").read_text().strip()
    with redis(initialised) as (process, port, health_check):

        def ask(*words: str, secret: str = password) -> list[str]:
            return run(["redis-cli", "-p", port, *words], initialised, REDISCLI_AUTH=secret).stdout.split()

        sick = [word.replace(str(initialised), "/nowhere") for word in health_check]
        assert (run(health_check, initialised).returncode, run(sick, initialised).returncode) == (0, 1)
        assert ask("ping") == ["PONG"]
        assert ask("ping", secret="") != ["PONG"]
        for key, value in {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}.items():
            assert ask("config", "get", key) == [key, value]
        arguments = Path(f"/proc/{process.pid}/cmdline")
        assert not arguments.exists() or password not in arguments.read_text()
    # exec: it was Redis itself that was asked to stop.
    assert process.returncode == 0
    assert any((initialised / "compose/state/redis").rglob("*.aof"))


@contextmanager
def serving(folder: Path, command: str, *, store_url: str = "memory:") -> Iterator[str]:
    """`tokensvc serve` or `demo-idp` as Compose starts it, but on a free port; the address."""
    environ = {**environment_of_service(folder), "TOKENSVC_SERVER__HOST": "127.0.0.1", "TOKENSVC_STORE__URL": store_url}
    if store_url == "memory:":
        del environ["TOKENSVC_STORE__PASSWORD_FILE"]
    with running(["tokensvc", command, "--port", "0"], folder, **(environ if command == "serve" else {})) as process:
        yield read_until(process, r"listening on +http://(\S+)")


def health_check(name: str, address: str) -> list[str]:
    """The health check of a container of ours, aimed at `address`; for the service it is that of the image."""
    found = re.search(r"^    CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    words = json.loads(found[1]) if name == "tokensvc" else service(name)["healthcheck"]["test"][1:]
    port = "8700" if name == "tokensvc" else "8701"
    return command_of(words, {f"'127.0.0.1', {port}": f"'127.0.0.1', {address.rpartition(':')[2]}"})


@pytest.mark.parametrize(("name", "command"), [("tokensvc", "serve"), ("demo-idp", "demo-idp")])
def test_a_health_check_fails_when_nothing_answers(initialised: Path, name: str, command: str) -> None:
    with serving(initialised, command) as address:
        healthy = run(health_check(name, address), initialised)
    sick = run(health_check(name, address), initialised)

    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert sick.returncode == 1


def test_the_health_check_of_the_image_fails_when_the_service_is_not_ready(initialised: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(initialised, folder)
    with serving(folder, "serve") as address:
        assert run(health_check("tokensvc", address), folder).returncode == 0
        with running([sys.executable, "-c", NOT_READY], folder) as process:
            port = read_until(process, r"(\d+)")
            assert run(health_check("tokensvc", f"127.0.0.1:{port}"), folder).returncode == 1


NOT_READY: Final = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def tls_in_front(folder: Path, service_address: str, idp_address: str) -> Iterator[tuple[int, int]]:
    """nginx with compose/nginx.conf: the port for clients, and that of its health check."""
    require_programs("nginx")
    temporary = folder / "nginx"
    temporary.mkdir()
    with closing(bind("127.0.0.1", 0)) as outside, closing(bind("127.0.0.1", 0)) as inside:
        ports = outside.getsockname()[1], inside.getsockname()[1]
        configuration = (ROOT / "compose" / "nginx.conf").read_text("utf-8")
        for old, new in {
            "tokensvc:8700": service_address,
            "demo-idp:8701": idp_address,
            "listen 8443": f"listen 127.0.0.1:{ports[0]}",
            "127.0.0.1:8080": f"127.0.0.1:{ports[1]}",
            " /tmp/": f" {temporary}/",
            "/run/tls": str(folder / "compose/state/tls"),
        }.items():
            assert old in configuration
            configuration = configuration.replace(old, new)
        (temporary / "nginx.conf").write_text(configuration)
        # The sockets are handed over as they are: nobody can take the ports in between.
        for listener in (outside, inside):
            listener.set_inheritable(True)
        words = [*service("tls")["command"], "-c", str(temporary / "nginx.conf")]
        handed_over = {"NGINX": f"{outside.fileno()};{inside.fileno()};"}
        with subprocess.Popen(
            words, env=environment(**handed_over), pass_fds=(outside.fileno(), inside.fileno())
        ) as process:
            try:
                yield ports
            finally:
                process.terminate()
                process.wait(TIMEOUT_S)
        assert process.returncode == 0


def member_of_table(text: str, client: str) -> str:
    found = re.search(rf"{client} +│ (\S+)", text)
    assert found is not None
    return found[1]


def test_the_trial_of_the_quickstart_works_through_tls(initialised: Path, said_of_init: tuple[Path, str]) -> None:
    secret = member_of_table(said_of_init[1], "planner")
    certificate = initialised / "compose/state/tls/cert.pem"
    with (
        redis(initialised) as (_, redis_port, _),
        serving(initialised, "serve", store_url=f"redis://127.0.0.1:{redis_port}/0") as service_address,
        serving(initialised, "demo-idp") as idp_address,
        tls_in_front(initialised, service_address, idp_address) as (port, health_port),
        requests.Session() as session,
    ):
        # What the environment names would go before it.
        session.trust_env = False
        session.verify = str(certificate)
        here = f"https://localhost:{port}"
        metadata = session.get(f"{here}/.well-known/oauth-authorization-server", timeout=TIMEOUT_S).json()
        login = session.post(f"{here}/demo-idp/login", {"user": "alice", "client_id": "planner"}, timeout=TIMEOUT_S)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": login.json()["access_token"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "crm.read crm.write",
        }
        answer = session.post(f"{here}/token", form, auth=("planner", secret), timeout=TIMEOUT_S)
        refused = session.post(f"{here}/token", form, auth=("planner", "wrong"), timeout=TIMEOUT_S)
        ready = requests.get(f"http://127.0.0.1:{health_port}/readyz", timeout=TIMEOUT_S)
        elsewhere = requests.get(f"http://127.0.0.1:{health_port}/token", timeout=TIMEOUT_S)
        # The path goes on as it came: what is no path of the service's is none of nginx's either.
        strange = raw_status(port, certificate, "/token/../token")
        usual = raw_status(port, certificate, "/healthz")

    assert (metadata["issuer"], metadata["token_endpoint"]) == (ISSUER, f"{ISSUER}/token")
    assert (answer.status_code, answer.json().get("scope")) == (200, "crm.read crm.write")
    assert (refused.status_code, ready.status_code, elsewhere.status_code) == (401, 200, 404)
    assert (strange, usual) == (404, 200)


def raw_status(port: int, certificate: Path, path: str) -> int:
    """The status of a GET whose path no client tidies up, by the strictest rules that Python has for certificates."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=TIMEOUT_S)
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
