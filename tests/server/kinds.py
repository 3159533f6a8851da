"""A token service that knows every kind of JWT, and one of each, truly signed by who makes that kind.

site = await Site.make(world, client)       # planner has started, delegated and signed
site.jwts["grant"]                          # each is good in one place
await site.exchange(actor_token=...)        # planner renews what it has; with one thing replaced
"""

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.exchange.holders import holder, proof
from tests.exchange.watched import WatchedStore
from tests.exchange.world import claims_of
from tests.server.world import API, IDP, ISSUER, USER, World, exchange_form, make_world, values
from tests.simulator import Members, ec_key, jti, jwk, rsa_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.ports import Record
from tokensvc.storage.memory import MemoryStore

__all__ = ["KINDS", "Site", "make"]

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUTHORITY: Final = "https://authority.example"
CLUSTER: Final = "https://cluster.example"
SVID_SUB: Final = "spiffe://example.org/agents/fetcher"
START: Final = "crm.export crm.read crm.write"
_serial: Final = count()

KINDS: Final = (
    "access token",
    "exchange-only token",
    "root",
    "grant",
    "proof",
    "nonce",
    "client assertion",
    "actor token",
    "actor token of the provider",
    "user's access token",
    "ID token",
    "logout token",
    "JWT-SVID",
    "service account token",
    "revocation feed",
    "introspection response",
)


def make(folder: Path) -> World:
    """As lenient as the settings let it be, and strict about nonces.

    planner has a key for its assertions, and a holder key as researcher has; fetcher runs on SPIFFE, keeper in a
    cluster. The provider makes ID tokens and actor tokens, an authority signs roots.
    """
    configured = values()
    planner, researcher, _ = configured["agent"]
    del planner["secret_sha256"]
    planner |= {"auth": "private_key_jwt", "jwks_file": "planner.json", "holder_jwks_file": "planner-holder.json"}
    researcher |= {"holder_jwks_file": "researcher-holder.json"}
    plain = {"scopes": ["crm.read"], "resources": [API], "default_resource": API}
    configured["agent"] = [
        planner,
        researcher,
        {"id": "fetcher", "auth": "spiffe_jwt", "spiffe_id": SVID_SUB, **plain},
        {"id": "keeper", "auth": "kubernetes_jwt", "service_account": "agents:keeper", **plain},
    ]
    configured["identity_provider"][0] |= {
        "id_tokens": True,
        "id_token_scopes": ["crm.delete", *START.split()],
        "actor_tokens": True,
        "audience": ["tokensvc", ISSUER],
        "typ": ["at+jwt", "jwt"],
        "subject_prefix": "idp:",
    }
    ceiling = {"resources": [API]}
    configured["authority"] = [
        {"iss": AUTHORITY, "jwks_file": "authority.json", "subject_prefix": "authority:", "ceiling": ceiling}
    ]
    configured["spiffe_trust_domain"] = [{"trust_domain": "example.org", "bundle_file": "bundle.json"}]
    configured["kubernetes_cluster"] = [{"iss": CLUSTER, "jwks_file": "cluster.json"}]
    configured["server"] = {"dpop_nonces": True}
    spire = {**jwk(ec_key("spire")), "kid": "spire", "use": "jwt-svid"}
    for name, jwks in {
        "planner.json": _jwks(ec_key("planner")),
        "planner-holder.json": _jwks(holder("planner")),
        "researcher-holder.json": _jwks(holder("researcher")),
        "authority.json": _jwks(ec_key("authority")),
        "bundle.json": {"keys": [spire]},
        "cluster.json": _jwks(rsa_key("cluster")),
    }.items():
        (folder / name).write_text(json.dumps(jwks))
    return make_world(folder, configured, store=WatchedStore(MemoryStore()))


def _jwks(key: SigningKey) -> Any:  # noqa: ANN401 - JSON
    return render_jwks(KeySet([key.public]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """planner's chain, and one JWT of each kind by the name that `KINDS` has for it."""

    world: World
    client: httpx2.AsyncClient
    jwts: dict[str, str]

    @classmethod
    async def make(cls, world: World, client: httpx2.AsyncClient) -> "Site":
        """planner has started from the provider's token and keeps its token for the API and an exchange-only one."""
        site = cls(world=world, client=client, jwts={})
        refused = await site.exchange(subject_token=site.user_token(), requested_actor=None, scope=START)
        site.jwts["nonce"] = refused.headers["dpop-nonce"]
        started = await site.exchange(subject_token=site.user_token(), requested_actor=None, scope=START)
        site.jwts["access token"] = started.json()["access_token"]
        site.jwts.update(site.made())
        exchange_only = await site.exchange(resource=ISSUER)
        site.jwts["exchange-only token"] = exchange_only.json()["access_token"]
        return site

    @property
    def records(self) -> list[Record]:
        """What the service has recorded."""
        store = self.world.store
        assert isinstance(store, WatchedStore)
        return store.records

    async def exchange(self, **replaced: Any) -> httpx2.Response:  # noqa: ANN401 - any parameter, or the proof
        """planner renews its token; parameters replaced, None for left out."""
        token = replaced.get("subject_token") or self.jwts["access token"]
        dpop = replaced.pop("dpop", None) or self.proof()
        form: Members = {"requested_actor": "planner", "scope": START, "resource": API, **self.assertion(), **replaced}
        return await self.client.post("/token", data=exchange_form(token, **_sent(form)), headers={"DPoP": dpop})

    async def ask(self, path: str, token: str) -> httpx2.Response:
        """planner asks about `token`, or revokes it."""
        return await self.client.post(path, data={"token": token, **self.assertion()})

    def assertion(self, text: str | None = None) -> Members:
        """planner's credentials, or another text in their place."""
        text = self._own("client-authentication+jwt") if text is None else text
        return {"client_assertion_type": JWT_BEARER, "client_assertion": text}

    def proof(self) -> str:
        """A new proof of planner's key."""
        return proof(holder("planner"), self.world.clock.now, nonce=self.jwts.get("nonce"))

    def user_token(self) -> str:
        """What the provider makes for planner."""
        return self.world.user_token()

    def made(self) -> dict[str, str]:
        """One of each kind that needs no request; those that are used once are new each time."""
        now, idp, service = self.world.clock.now, ec_key("idp"), self.world.signer.signing_key()
        times = {"iat": now - 10, "exp": now + 200}
        who = {"iss": IDP, "sub": USER, **times}
        plain = {"typ": "JWT", "alg": "ES256", "kid": "idp"}
        events: Members = {"http://schemas.openid.net/event/backchannel-logout": {}}
        word = {"aud": ISSUER, "jti": self._jti(), **times}
        svid = {"sub": SVID_SUB, "aud": [ISSUER], **times}
        account = {**times, "iss": CLUSTER, "sub": "system:serviceaccount:agents:keeper", "aud": [ISSUER], "nbf": now}
        feed = {"iss": ISSUER, "iat": now, "feed": jti("feed"), "sequence": 1, "revocations": []}
        told = {"active": True, "sub": USER, "client_id": "planner", "scope": "crm.read"}
        ours = {"alg": "ES256", "kid": service.kid}
        return {
            "root": self._root(times),
            "grant": self._grant(),
            "proof": self.proof(),
            "client assertion": self._own("client-authentication+jwt"),
            "actor token": self._own("actor+jwt"),
            "actor token of the provider": seal(
                {**plain, "typ": "actor+jwt"}, {"iss": IDP, "sub": "planner", **word}, idp
            ),
            "user's access token": self.user_token(),
            "ID token": seal(plain, {**who, "aud": "planner", "nonce": "n", "auth_time": now - 10}, idp),
            "logout token": seal(
                {**plain, "typ": "logout+jwt"}, {**who, "aud": "planner", "jti": self._jti(), "events": events}, idp
            ),
            "JWT-SVID": seal({"typ": "JWT", "alg": "ES256", "kid": "spire"}, svid, ec_key("spire")),
            "service account token": seal({"alg": "RS256", "kid": "cluster"}, account, rsa_key("cluster")),
            "revocation feed": seal({"typ": "revocations+jwt", **ours}, feed, service),
            "introspection response": seal(
                {"typ": "token-introspection+jwt", **ours},
                {"iss": ISSUER, "aud": API, "iat": now, "token_introspection": told},
                service,
            ),
        }

    def _jti(self) -> str:
        return jti(f"kinds {next(_serial)}")

    def _own(self, typ: str) -> str:
        now = self.world.clock.now
        claims = {"iss": "planner", "sub": "planner", "aud": ISSUER, "jti": self._jti(), "iat": now, "exp": now + 60}
        return seal({"typ": typ, "alg": "ES256", "kid": "planner"}, claims, ec_key("planner"))

    def _root(self, times: Members) -> str:
        root = {"iss": AUTHORITY, "sub": USER, "aud": ISSUER, "actor": "planner", "resources": [API], "max_depth": 3}
        more = {"scope": f"crm.delete {START}", "cnf": {"jkt": holder("planner").public.thumbprint}}
        header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": "authority"}
        return seal(header, {**root, **more, **times, "jti": self._jti()}, ec_key("authority"))

    def _grant(self) -> str:
        claims = claims_of(self.jwts["access token"])
        root, leaf = claims["grant_chain"]
        key = holder("planner")
        payload: Members = {
            "iss": "planner",
            "sub": claims["sub"],
            "aud": ISSUER,
            "root": root["jti"],
            "index": 2,
            "actor": "researcher",
            "cnf": {"jkt": holder("researcher").public.thumbprint},
            "scope": "crm.read",
            "resources": [API],
            "max_depth": leaf["max_depth"],
            "jti": self._jti(),
            "parent": leaf["jti"],
            "iat": max(self.world.clock.now, leaf["iat"]),
            "exp": leaf["exp"],
        }
        return seal({"typ": "delegation-grant+jwt", "alg": "ES256", "jwk": jwk(key)}, payload, key)


def _sent(form: Members) -> Members:
    return {name: value for name, value in form.items() if name != "subject_token"}
