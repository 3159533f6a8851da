"""What the commands that judge a token share: options, the terms that these say, the token, and how an answer is shown.

`verify` and `explain` take the same options, so they stand once, in `add_command`.
"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Protocol, TextIO, TypedDict, cast

import typer

from tokensvc.cli.console import JsonOption, fail
from tokensvc.cli.inputs import read_stdin
from tokensvc.core.authority import Attenuation
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed

if TYPE_CHECKING:
    from rich.console import Console

    from tokensvc.core.authority import Authority
    from tokensvc.core.chain import GrantChain
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.verify import Expectation, KeySet, KeySource, Revocations
    from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = [
    "ANY_WIDTH",
    "Answer",
    "Terms",
    "add_command",
    "load_keys",
    "render_authority",
    "render_chain",
    "require_piped",
    "say_ascii_json",
    "tree_console",
]

# What a verifier takes at most is 16 KiB: this is enough to see that a text is too large, and no more.
_MAX_INPUT_BYTES: Final = 65_536
# As for the key set of an identity provider: a hundred RSA keys with their certificates.
_MAX_JWKS_BYTES: Final = 1_000_000
# The longest lifetime that the token service may be configured to give (900 s).
_DEFAULT_MAX_LIFETIME_S: Final = 900
# Wider than any line: a token is 16 KiB at most, and an escape six times what it stands for.
ANY_WIDTH: Final = 100_000
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
_Issuer = Annotated[str, typer.Option(metavar="ISS", help="The token service that must have issued it.")]
_Audience = Annotated[str, typer.Option(metavar="AUD", help="The resource that the token must be for.")]
_Jwks = Annotated[Path, typer.Option(metavar="FILE", help="The public keys of the token service, as a JWK Set.")]
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


class _SignedRoots(NamedTuple):
    """An authority: its issuer, its keys, and the prefix of its users."""

    iss: str
    jwks: Path
    prefix: str


def add_command(app: typer.Typer, name: str, answer: Answer) -> None:
    """Add a command to `app` that reads a token and terms and gives them to `answer`, whose docstring is its help."""

    def command(
        context: typer.Context,
        token: _Token = "",
        *,
        issuer: _Issuer,
        audience: _Audience,
        jwks: _Jwks,
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
        from tokensvc.verify import Evidence, Expectation, HolderFloor, LifetimeOnly, Order, StaticKeys
        from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

        if not issuer or not audience:
            raise typer.BadParameter("--issuer and --audience must not be empty")
        signed_roots = _read_authority(issuer, authority, authority_jwks, authority_prefix)
        pinned = _read_agent_keys(issuer, agent_key or [])
        _require_floors_met(root_floor, hop_floor, signed_roots=signed_roots is not None, pinned=bool(pinned))
        expect = Expectation(
            issuers=frozenset({issuer}),
            audiences=frozenset({audience}),
            root_floor=Evidence(root_floor),
            hop_floor=Evidence(hop_floor),
            holder=HolderFloor.BEARER,
            order=Order(grammar=scope_grammar, attenuation=attenuation, proper_from=proper_from),
            authorities={} if signed_roots is None else {(issuer, signed_roots.iss): signed_roots.prefix},
            agent_keys=pinned,
        )
        key_sets = {issuer: load_keys("--jwks", jwks, as_json=as_json)}
        if signed_roots is not None:
            key_sets[signed_roots.iss] = load_keys("--authority-jwks", signed_roots.jwks, as_json=as_json)
        if context.args:
            raise typer.BadParameter("more than one TOKEN: give one, or none and use standard input")
        text = _read_token(token, command=name)
        terms = Terms(
            keys=StaticKeys(key_sets),
            expect=expect,
            # Not before the token is there: somebody may have been asked for it.
            now=int(time.time()),
            revocations=LifetimeOnly(max_s=max_lifetime),
            proof=UnsafeHolderProvenUpstream() if unsafe_without_proof else None,
        )
        answer(text, terms, as_json=as_json)

    # Click quotes an argument too many, and that may be a token: let it through, and refuse it without its text.
    app.command(name, help=answer.__doc__, context_settings={"allow_extra_args": True})(command)


def _read_authority(issuer: str, iss: str | None, jwks: Path | None, prefix: str) -> _SignedRoots | None:
    if iss is None and jwks is None and not prefix:
        return None
    if not iss or jwks is None:
        raise typer.BadParameter("--authority and --authority-jwks are given together")
    if iss == issuer:
        raise typer.BadParameter("--authority is another one than --issuer")
    return _SignedRoots(iss, jwks, prefix)


def _read_agent_keys(issuer: str, pins: list[str]) -> dict[tuple[str, str], frozenset[str]]:
    from tokensvc.core.members import parse_thumbprint

    pinned: dict[tuple[str, str], frozenset[str]] = {}
    for pin in pins:
        # A thumbprint has no equals sign; the name of an agent may.
        agent, _, thumbprint = pin.rpartition("=")
        try:
            key = parse_thumbprint(thumbprint)
        except Malformed as exc:
            raise typer.BadParameter("--agent-key is AGENT=THUMBPRINT, a SHA-256 thumbprint in base64url") from exc
        if not agent:
            raise typer.BadParameter("--agent-key is AGENT=THUMBPRINT, and AGENT must not be empty")
        pinned[issuer, agent] = pinned.get((issuer, agent), frozenset()) | {key}
    return pinned


def _require_floors_met(root_floor: str, hop_floor: str, *, signed_roots: bool, pinned: bool) -> None:
    """A floor that no token could meet is a mistake of whoever typed it, and no fault of the token."""
    if root_floor == "authority" and not signed_roots:
        raise typer.BadParameter("--root-floor authority needs --authority")
    if hop_floor == "delegator" and not (signed_roots or pinned):
        raise typer.BadParameter("--hop-floor delegator needs --agent-key or --authority: whose is the first key?")


def load_keys(option: str, path: Path, *, as_json: bool) -> "KeySet":
    """The JWK Set in the file `path`, which `option` names. Exits where it cannot be used."""
    from tokensvc.smallfile import read_small_file
    from tokensvc.verify import parse_json_object, parse_jwks

    try:
        text = read_small_file(path, max_bytes=_MAX_JWKS_BYTES)
    except OSError as exc:
        raise typer.BadParameter(f"{option}: cannot read {path}: {exc.strerror}") from exc
    except Malformed as exc:
        raise typer.BadParameter(f"{option}: {path} is {exc.description}") from exc
    try:
        return parse_jwks(parse_json_object(text))
    except (Malformed, KeyRefused) as exc:
        remedy = "Give the JWK Set that the issuer publishes at its jwks_uri."
        fail([ConfigurationError(exc.description, file=str(path), key="", remedy=remedy)], as_json=as_json)


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


def say_ascii_json(value: "JsonValue") -> None:
    """Print `value`, everything outside ASCII escaped: names come from tokens, and a terminal obeys some characters."""
    typer.echo(json.dumps(value, indent=2))


def tree_console() -> "Console":
    """The terminal; or a file or a pipe, which gets no colour and has no width at which to break a scope in two."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else ANY_WIDTH)


def render_authority(authority: "Authority") -> "dict[str, JsonValue]":
    """What an entry grants, by the names of the profile."""
    from tokensvc.core.details import render_details

    return {
        "scope": " ".join(sorted(authority.scope)),
        "authorization_details": render_details(authority.details),
        "resources": sorted(authority.resources),
        "max_depth": authority.max_depth,
        "iat": authority.iat,
        "exp": authority.exp,
    }


def render_chain(chain: "GrantChain") -> "list[JsonValue]":
    """The root, then every hop with what it lost against the entry before it."""
    from tokensvc.demo.chain_view import loss
    from tokensvc.verify import Evidence

    root = chain.root
    rendered: list[JsonValue] = [
        {
            "iss": root.iss,
            "sub": root.sub,
            "jti": root.jti,
            "evidence": Evidence.ISSUER if root.claim is None else Evidence.AUTHORITY,
            **render_authority(root.authority),
        }
    ]
    above = root.authority
    for hop in chain.hops:
        lost = loss(above, hop.authority)
        described: dict[str, JsonValue] = {
            "scope": " ".join(sorted(lost.scope)),
            "resources": sorted(lost.resources),
            "lifetime_s": lost.lifetime_s,
            "depth": lost.depth,
        }
        evidence = Evidence.ISSUER if hop.claim is None else Evidence.DELEGATOR
        names: dict[str, JsonValue] = {"actor": hop.actor, "jti": hop.jti, "parent": hop.parent, "evidence": evidence}
        rendered.append({**names, **render_authority(hop.authority), "lost": described})
        above = hop.authority
    return rendered
