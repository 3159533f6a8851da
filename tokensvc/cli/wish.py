"""What `tokensvc exchange` asks for: as parameters of the request, or as a delegation that the agent signs."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from tokensvc.errors import KeyRefused, Malformed

if TYPE_CHECKING:
    from tokensvc.core.jws import SigningKey

__all__ = ["Grant", "Wish", "parse_grant", "parse_jkt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the token is to be for, None for what is open. `details` is a JSON array, `lifetime_s` in seconds."""

    scope: tuple[str, ...]
    resources: tuple[str, ...]
    audiences: tuple[str, ...]
    actor: str | None
    lifetime_s: int | None
    max_depth: int | None
    details: str | None

    def form(self) -> dict[str, str | list[str]]:
        """The parameters that say so, without what is left open."""
        parameters = {
            "scope": " ".join(self.scope),
            "resource": [*self.resources],
            "audience": [*self.audiences],
            "requested_actor": self.actor,
            "requested_lifetime_s": None if self.lifetime_s is None else str(self.lifetime_s),
            "requested_max_depth": None if self.max_depth is None else str(self.max_depth),
            "authorization_details": self.details,
        }
        return {name: value for name, value in parameters.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The delegation of `wish` to the agent `to`, to be signed with `key`."""

    key: "SigningKey" = field(repr=False)
    to: str
    wish: Wish

    def seal(self, token: str, holder_jkt: str) -> str:
        """The grant below `token`, for the holder of that key. Raises: typer.BadParameter, without token and key."""
        from tokensvc.client.grant import make_delegation_grant

        wish = self.wish
        try:
            return make_delegation_grant(
                token,
                key=self.key,
                to=self.to,
                holder_jkt=holder_jkt,
                scope=wish.scope,
                resource=wish.resources,
                authorization_details=None if wish.details is None else json.loads(wish.details),
                # As without a signature: what is not asked for is as high as above it.
                may_delegate=True,
                max_depth=wish.max_depth,
                lifetime_s=wish.lifetime_s,
            )
        except (Malformed, KeyRefused) as exc:
            raise typer.BadParameter(f"--sign-grant: {exc.description}") from None

    def require_signable(self, token: str) -> None:
        """Return for what can be signed, before anybody is asked for anything. Raises: typer.BadParameter."""
        # The key of the delegatee is not known yet, and any other will do to find out.
        self.seal(token, self.key.public.thumbprint)


def parse_grant(wish: Wish, *, client_id: str, key: "SigningKey | None", can_find_key: bool) -> Grant:
    """What the client signs with its holder `key`. Raises: typer.BadParameter for options that do not fit.

    `can_find_key` is true where the key of the delegatee is given, or somebody is named who can be asked for it.
    """
    if wish.audiences:
        raise typer.BadParameter("--sign-grant goes without --audience: name each --resource by its URI")
    needed = {"--for": wish.actor, "--holder-key": key, "--scope": wish.scope, "--resource": wish.resources}
    missing = [option for option, given in needed.items() if not given]
    if missing or wish.actor is None or key is None:
        raise typer.BadParameter(f"--sign-grant needs {' and '.join(missing)}: what is signed leaves nothing open")
    if wish.actor == client_id:
        raise typer.BadParameter("--sign-grant is for another agent than the one that asks: name it with --for")
    if not can_find_key:
        raise typer.BadParameter("--sign-grant needs --issuer, which is asked for that agent's key, or --holder-jkt")
    return Grant(key=key, to=wish.actor, wish=wish)


def parse_jkt(text: str, *, signs: bool) -> str:
    """The thumbprint of `--holder-jkt`. Raises: typer.BadParameter."""
    from tokensvc.core.members import parse_thumbprint

    if not signs:
        raise typer.BadParameter("--holder-jkt needs --sign-grant, whose delegation is bound to that key")
    try:
        return parse_thumbprint(text)
    except Malformed as exc:
        raise typer.BadParameter(f"--holder-jkt: {exc.description}") from exc
