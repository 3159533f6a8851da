import subprocess
import sys

SERVER_PACKAGES = [
    "starlette",
    "uvicorn",
    "typer",
    "rich",
    "pydantic",
    "authlib",
    "httpx2",
    "httptools",
    "uvloop",
    "structlog",
]
LOADED = "import sys; print([name for name in {packages} if name in sys.modules])"


def loaded_by(statement: str) -> str:
    script = f"{statement}; {LOADED.format(packages=SERVER_PACKAGES)}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_tokensvc_loads_no_server_dependency() -> None:
    assert loaded_by("import tokensvc, tokensvc.verify") == "[]\n"


def test_the_check_would_see_a_server_dependency() -> None:
    assert "'structlog'" in loaded_by("import structlog")


def test_the_names_that_the_package_offers_are_there() -> None:
    script = (
        "import tokensvc, tokensvc.verify as v; [getattr(m, n) for m in (tokensvc, v) for n in m.__all__]; print('ok')"
    )

    assert (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, check=True, timeout=60
        ).stdout
        == b"ok\n"
    )
