"""A token service as users run it: a process started by the command, its configuration, its clients, a user's token."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
from typer.testing import CliRunner, Result

from tests.settings_file import API, valid_values, write_settings
from tests.simulator import ec_key, rsa_key, seal
from tokensvc.cli import make_app
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.signing.keyfiles import generate_key
from tokensvc.wiring import bind

__all__ = ["COMMAND", "IDP", "TIMEOUT_S", "Service", "configure", "holder_key_of", "run", "running", "spawn"]

COMMAND: Final = Path(sys.executable).with_name("tokensvc")
TIMEOUT_S: Final = 30
IDP: Final = "https://idp.example"
MAIL: Final = "https://mail.example"
_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_SCOPES: Final = ["crm.read", "crm.write", "crm.delete", "mail.send"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where it answers, the folder of its configuration, and files of what its clients hold."""

    issuer: str
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "tokensvc.toml"

    def secret(self, client: str) -> Path:
        return self._file(f"{client}.secret", f"{client}\n")

    def key(self, client: str) -> Path:
        return self._file(f"{client}.jwk", json.dumps(ec_key(client).unsafe_private_jwk()))

    def holder(self, client: str) -> Path:
        """The private key that its tokens are bound to."""
        return self._file(f"{client}.holder.jwk", json.dumps(holder_key_of(client).unsafe_private_jwk()))

    def user_token(self, **claims: object) -> str:
        """A new one of alice, for planner."""
        now = int(time.time())
        times = {"iat": now, "exp": now + 3600, "jti": os.urandom(8).hex()}
        who = {"iss": IDP, "sub": "alice", "aud": "tokensvc", "client_id": "chat-ui", "scope": " ".join(_SCOPES)}
        key = rsa_key("idp")
        return seal({"typ": "at+jwt", "alg": "RS256", "kid": key.kid}, {**who, **times, **claims}, key)

    def exchange(self, client: str, subject_token: str, **parameters: str) -> dict[str, Any]:
        """What the service answers to `client`, by plain HTTP."""
        form = {"grant_type": _GRANT_TYPE, "subject_token": subject_token, "subject_token_type": _ACCESS_TOKEN}
        pair = b64encode(f"{client}:{client}".encode()).decode()
        answer = httpx2.post(
            f"{self.issuer}/token",
            data={**form, **parameters},
            headers={"Authorization": f"Basic {pair}"},
            trust_env=False,
            timeout=TIMEOUT_S,
        )
        body: dict[str, Any] = answer.json()
        return body

    def start(self) -> str:
        """A new chain: planner's token."""
        answer = self.exchange("planner", self.user_token(), scope="crm.read crm.write", resource=API)
        token: str = answer["access_token"]
        return token

    def _file(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content)
        return path


def holder_key_of(client: str) -> SigningKey:
    """The key that tokens of that agent are bound to, where it is registered with one."""
    return ec_key(f"{client} holder")


def configure(folder: Path, issuer: str, *, agents: Mapping[str, Mapping[str, object]] = {}, **changes: object) -> Path:
    """A configuration with two agents that hold secrets and one that signs, and everything that it names.

    `agents` are further members by agent; `holder` among them registers its holder key.
    """
    values = valid_values()
    values["identity_provider"][0] |= {
        "ceiling": {"resources": [API, MAIL]},
        "typ": ["at+jwt"],
        "algorithms": ["RS256"],
    }
    planner = {"scopes": _SCOPES, "resources": [API, MAIL], "default_resource": API}
    values["agent"][0] |= {**planner, "may_delegate_to": ["researcher", "signer"]}
    values["agent"][1] |= {"default_resource": API}
    signer = {"id": "signer", "auth": "private_key_jwt", "jwks_file": "signer.jwks.json"}
    values["agent"].append({**signer, "scopes": _SCOPES[:2], "resources": [API], "default_resource": API})
    for agent in values["agent"]:
        agent.update(agents.get(agent["id"], {}))
        if agent.pop("holder", False):
            agent["holder_jwks_file"] = f"{agent['id']}.holder.jwks.json"
            held = KeySet([holder_key_of(agent["id"]).public])
            (folder / agent["holder_jwks_file"]).write_text(json.dumps(render_jwks(held)))
    values["resource"][0] |= {"scopes": _SCOPES[:3]}
    generate_key(folder / "keys", Algorithm.ES256, now=1)
    written = write_settings(folder, {**values, "issuer": issuer, "store": {"url": "sqlite:///tokensvc.db"}, **changes})
    for name, key in (("idp", rsa_key("idp")), ("signer", ec_key("signer"))):
        (folder / f"{name}.jwks.json").write_text(json.dumps(render_jwks(KeySet([key.public]))))
    return written


@contextmanager
def running(
    folder: Path, *, path: str = "", agents: Mapping[str, Mapping[str, object]] = {}, **changes: object
) -> Iterator[Service]:
    """The service as a process of its own, whose issuer has that path. The rest is that of `configure`."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    issuer = f"http://127.0.0.1:{port}{path}"
    config = configure(folder, issuer, agents=agents, **changes)
    words = ["serve", "--config", str(config), "--port", str(port)]
    with spawn(*words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Next:"):
                break
        # It says so before it takes connections; the kernel keeps them for it meanwhile.
        yield Service(issuer=issuer, folder=folder)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)


@contextmanager
def spawn(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a real process; killed at the end if it is still there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    with subprocess.Popen(
        [COMMAND, *words],
        env={**environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
    """The command in this process."""
    environ = {"NO_COLOR": "1", "COLUMNS": "300", "TOKENSVC_CONFIG": None, **(env or {})}
    return CliRunner().invoke(make_app(), [str(word) for word in words], input=stdin, env=environ)
