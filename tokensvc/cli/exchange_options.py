"""The options of `tokensvc exchange`, in the panels that its help shows."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

__all__ = [
    "ActorToken",
    "Audience",
    "Auth",
    "ClientId",
    "Details",
    "For",
    "HolderJkt",
    "HolderKey",
    "Issuer",
    "Jwks",
    "Key",
    "Lifetime",
    "MaxDepth",
    "NoVerify",
    "Resource",
    "Scope",
    "SecretFile",
    "SignGrant",
    "SubjectToken",
    "SubjectTokenType",
    "TokenEndpoint",
]

_WHERE: Final = "Where"
_WHO: Final = "Who asks"
_HOLDER: Final = "With a key that it holds"
_WHAT: Final = "What for"
_ANSWER: Final = "What becomes of the answer"

SubjectToken = Annotated[
    str,
    typer.Argument(
        metavar="FILE|-",
        show_default=False,
        help="The file with the token to exchange. - or nothing: standard input. Never the token itself.",
    ),
]
SubjectTokenType = Annotated[
    Literal["access_token", "id_token", "jwt"],
    typer.Option(rich_help_panel=_WHAT, help="What is exchanged; jwt is a root that an authority signed."),
]
Issuer = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=_WHERE, help="The token service; its metadata says the rest."),
]
TokenEndpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=_WHERE, help="Its token endpoint, where there is no metadata."),
]
ClientId = Annotated[str, typer.Option(metavar="ID", rich_help_panel=_WHO, help="The agent that asks.")]
SecretFile = Annotated[
    str | None,
    typer.Option(metavar="FILE|-", rich_help_panel=_WHO, help="Its secret: a file, <(a command), or standard input."),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=_WHO, help="Or its private JWK: it signs an assertion of 60 s."),
]
Auth = Annotated[
    Literal["client_secret_basic", "client_secret_post"] | None,
    typer.Option(rich_help_panel=_WHO, help="How the secret is sent. Else as the metadata says, basic first."),
]
ActorToken = Annotated[
    bool, typer.Option("--actor-token", rich_help_panel=_WHO, help="Also say with --key that it is the acting party.")
]
HolderKey = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_HOLDER,
        help="A private JWK, proven by DPoP: what the agent gets is bound to it.",
    ),
]
SignGrant = Annotated[
    bool,
    typer.Option("--sign-grant", rich_help_panel=_HOLDER, help="Sign the delegation to the agent of --for with it."),
]
HolderJkt = Annotated[
    str | None,
    typer.Option(
        metavar="JKT", rich_help_panel=_HOLDER, help="The thumbprint of that agent's key, else the service is asked."
    ),
]
Scope = Annotated[
    list[str] | None, typer.Option(metavar="SCOPE", rich_help_panel=_WHAT, help="Can be repeated, or be a list.")
]
Resource = Annotated[
    list[str] | None,
    typer.Option(metavar="URI", rich_help_panel=_WHAT, help="Where the token is for. Can be repeated."),
]
Audience = Annotated[
    list[str] | None, typer.Option(metavar="NAME", rich_help_panel=_WHAT, help="The same, by registered name.")
]
For = Annotated[
    str | None,
    typer.Option(
        "--for", metavar="AGENT", rich_help_panel=_WHAT, help="The agent that gets it; the asker's own id renews."
    ),
]
Lifetime = Annotated[
    int | None, typer.Option(metavar="S", min=1, rich_help_panel=_WHAT, help="How long the delegation may live.")
]
MaxDepth = Annotated[
    int | None, typer.Option(metavar="N", min=1, rich_help_panel=_WHAT, help="The highest hop that may stand below.")
]
Details = Annotated[
    str | None,
    typer.Option(metavar="FILE|JSON", rich_help_panel=_WHAT, help="Authorization details: a JSON array, or its file."),
]
Jwks = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=_ANSWER, help="The keys to verify it with, else those it publishes."),
]
NoVerify = Annotated[
    bool, typer.Option("--no-verify", rich_help_panel=_ANSWER, help="Take it as it comes; draw its chain unverified.")
]
