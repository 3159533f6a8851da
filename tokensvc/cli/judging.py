"""What the commands that judge a token share: options, the terms that these say, and the token.

`verify` and `explain` take the same options, so they stand once, in `add_command`.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol, TextIO, TypedDict, cast

import typer

from tokensvc.cli.console import JsonOption
from tokensvc.cli.inputs import read_stdin
from tokensvc.cli.stated_terms import Options, load_keys, read_file, read_options
from tokensvc.core.authority import Attenuation
from tokensvc.core.scope import ScopeGrammar

if TYPE_CHECKING:
    from tokensvc.verify import Expectation, KeySource, Revocations
    from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = ["Answer", "Terms", "add_command", "load_keys", "require_piped"]

# What a verifier takes at most is 16 KiB: this is enough to see that a text is too large, and no more.
_MAX_INPUT_BYTES: Final = 65_536
# The longest lifetime that the token service may be configured to give (900 s).
_DEFAULT_MAX_LIFETIME_S: Final = 900
_ORDER: Final = "As the metadata of the token service says"
_EVIDENCE: Final = "Whose word is enough"

_Token = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN|-",
        show_default=False,
        help="The token. Prefer - or nothing, to read it from standard input: arguments stay in the shell's history.",
    ),
]
_Expect = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A TOML file that states the terms. With it, --issuer and --audience choose one of several, and --jwks has"
        " the keys. Without it, these three are needed.",
    ),
]
_Issuer = Annotated[str | None, typer.Option(metavar="ISS", help="The token service that must have issued it.")]
_Audience = Annotated[str | None, typer.Option(metavar="AUD", help="The resource that the token must be for.")]
_Jwks = Annotated[Path | None, typer.Option(metavar="FILE", help="The public keys of the token service, as a JWK Set.")]
_MaxLifetime = Annotated[
    int, typer.Option(min=1, metavar="S", help="Refuse tokens that live longer, as revocation is not checked.")
]
_WithoutProof = Annotated[
    bool,
    typer.Option(
        "--unsafe-without-proof",
        help="Judge a token that is bound to a key without proof of that key, and say so. Else it is refused.",
    ),
]
_Grammar = Annotated[
    ScopeGrammar,
    typer.Option(
        rich_help_panel=_ORDER,
        help="scope_grammar: what a scope covers. exact: itself. segments: crm.* covers crm.read as well.",
    ),
]
_Attenuation = Annotated[
    Attenuation,
    typer.Option(
        rich_help_panel=_ORDER,
        help="attenuation: what has to be gone at each hop. scope: a scope. authority: a scope, resource or tool.",
    ),
]
_ProperFrom = Annotated[
    int,
    typer.Option(
        min=1,
        max=2,
        metavar="1|2",
        rich_help_panel=_ORDER,
        help="proper_from: the first hop at which something has to be gone. 2: the first agent may have all.",
    ),
]
_RootFloor = Annotated[
    Literal["issuer", "authority"],
    typer.Option(
        rich_help_panel=_EVIDENCE,
        help="For what the user could authorise: the token service's, or that of --authority, signed.",
    ),
]
_HopFloor = Annotated[
    Literal["issuer", "delegator"],
    typer.Option(
        rich_help_panel=_EVIDENCE,
        help="For each delegation: the token service's, or from hop 2 on the delegating agent's, signed.",
    ),
]
_AgentKey = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AGENT=THUMBPRINT",
        rich_help_panel=_EVIDENCE,
        help="A key of that agent (RFC 7638), without which it may stand in no hop. Can be repeated.",
    ),
]
_Authority = Annotated[
    str | None,
    typer.Option(metavar="ISS", rich_help_panel=_EVIDENCE, help="Who may sign roots, such as the identity provider."),
]
_AuthorityJwks = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel=_EVIDENCE, help="Its public keys, as a JWK Set.")
]
_AuthorityPrefix = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        show_default=False,
        rich_help_panel=_EVIDENCE,
        help="What the token service puts before that authority's names of users. Nothing, if not given.",
    ),
]


_OF_THE_FILE: Final = (
    "scope_grammar",
    "attenuation",
    "proper_from",
    "root_floor",
    "hop_floor",
    "agent_key",
    "authority",
    "authority_jwks",
    "authority_prefix",
)


class Terms(TypedDict):
    """What a token is judged by: the arguments of `verify_token` and `explain_token`."""

    keys: "KeySource"
    expect: "Expectation"
    now: int
    revocations: "Revocations"
    proof: "UnsafeHolderProvenUpstream | None"


class Answer(Protocol):
    """What a command does with a token."""

    def __call__(self, token: str, terms: Terms, *, as_json: bool) -> None:
        """Judge `token` and print the answer. Raises: typer.Exit with its exit code, unless that is 0."""
        ...


def add_command(app: typer.Typer, name: str, answer: Answer) -> None:
    """Add a command to `app` that reads a token and terms and gives them to `answer`, whose docstring is its help."""

    def command(
        context: typer.Context,
        token: _Token = "",
        *,
        expect: _Expect = None,
        issuer: _Issuer = None,
        audience: _Audience = None,
        jwks: _Jwks = None,
        max_lifetime: _MaxLifetime = _DEFAULT_MAX_LIFETIME_S,
        unsafe_without_proof: _WithoutProof = False,
        scope_grammar: _Grammar = ScopeGrammar.EXACT,
        attenuation: _Attenuation = Attenuation.SCOPE,
        proper_from: _ProperFrom = 1,
        root_floor: _RootFloor = "issuer",
        hop_floor: _HopFloor = "issuer",
        agent_key: _AgentKey = None,
        authority: _Authority = None,
        authority_jwks: _AuthorityJwks = None,
        authority_prefix: _AuthorityPrefix = "",
        as_json: JsonOption = False,
    ) -> None:
        from tokensvc.verify import LifetimeOnly
        from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

        stated = Options(
            issuer=issuer,
            audience=audience,
            jwks=jwks,
            order=(scope_grammar, attenuation, proper_from),
            floors=(root_floor, hop_floor),
            agent_key=agent_key or [],
            authority=(authority, authority_jwks, authority_prefix),
        )
        if expect is None:
            expectation, keys = read_options(stated, as_json=as_json)
        else:
            _require_alone(context)
            expectation, keys = read_file(expect, stated, as_json=as_json)
        if context.args:
            raise typer.BadParameter("more than one TOKEN: give one, or none and use standard input")
        text = _read_token(token, command=name)
        terms = Terms(
            keys=keys,
            expect=expectation,
            # Not before the token is there: somebody may have been asked for it.
            now=int(time.time()),
            revocations=LifetimeOnly(max_s=max_lifetime),
            proof=UnsafeHolderProvenUpstream() if unsafe_without_proof else None,
        )
        answer(text, terms, as_json=as_json)

    # Click quotes an argument too many, and that may be a token: let it through, and refuse it without its text.
    app.command(name, help=answer.__doc__, context_settings={"allow_extra_args": True})(command)


def _require_alone(context: typer.Context) -> None:
    """Refuse an option that says what the file of terms says: two places, and one would count in silence."""
    for name in _OF_THE_FILE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name.replace('_', '-')}: with --expect it stands in the file")


def _read_token(argument: str, *, command: str) -> str:
    """The token of the argument or of standard input. No message says any of it."""
    if argument in {"", "-"}:
        argument = _read_stdin(may_be_terminal=argument == "-", command=command)
    token = argument.strip()
    if not token:
        raise typer.BadParameter("the token is empty")
    return token


def _read_stdin(*, may_be_terminal: bool, command: str) -> str:
    if not may_be_terminal:
        require_piped(command)
    # One character for each byte: what is not ASCII is refused as malformed, not repaired.
    return read_stdin(_MAX_INPUT_BYTES).decode("latin-1")


def require_piped(command: str) -> None:
    """Refuse to wait for a token at a terminal: it cuts a pasted line at some 4000 characters, and tokens are longer.

    Raises: typer.BadParameter.
    """
    # Closed, it is None, which the types of `sys` do not say; whoever reads it says so.
    stdin = cast("TextIO | None", sys.stdin)
    if stdin is not None and stdin.isatty():
        raise typer.BadParameter(f"no token: give it on standard input, as in: tokensvc {command} ... < token.txt")
