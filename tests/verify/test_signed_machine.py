"""The law over any history: signed entries, authorization details, and the token service's key in bad hands.

A machine starts lineages, delegates (with the delegator's signature, or on the service's word alone), narrows,
renews, revokes, steps the clock, and tampers: it signs any token anew, reuses every genuine grant it ever saw, and has
one agent, the thief, on its side. The verifier demands delegators' signatures and knows the keys of the honest agents.
What must hold is told by plain words: who really signed, and which calls an entry allows (`call_model`).
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, rule

from tests.simulator import API, AUTHORITY, FILES, ISSUER, NOW, PREFIX, USER, Members, act, ec_key, jti, jwk, seal
from tests.verify.call_model import allowed, detail, scope_meaning
from tests.verify.signed import AUTHORITY_KEY, KEYS, PROVEN, SIM, holder
from tokensvc.core.authority import Order
from tokensvc.core.jws import SigningKey
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation, HolderFloor, RevocationList

HONEST: Final = ("planner", "mailer", "printer")
AGENTS: Final = (*HONEST, "thief")
THIEF: Final = ec_key("thief")
LEEWAY_S: Final = 30
MAX_DEPTH: Final = 5
EXPECT: Final = Expectation(
    issuers=frozenset({ISSUER}),
    audiences=frozenset({API, FILES, ISSUER}),
    root_floor=Evidence.ISSUER,
    hop_floor=Evidence.DELEGATOR,
    holder=HolderFloor.BEARER,
    order=Order(grammar=ScopeGrammar.SEGMENTS),
    authorities={(ISSUER, AUTHORITY): PREFIX},
    agent_keys={(ISSUER, agent): frozenset({holder(agent).public.thumbprint}) for agent in HONEST},
)
ROOT_SCOPE: Final = "crm.* files.* mail.send"
SCOPES: Final = ("crm.*", "crm.x.*", "crm.read", "crm.write", "crm.x.y", "files.read", "mail.send", "admin")
# A user or an issuer revoked is everything at an end; there is more to learn from the others.
REVOKED_KINDS: Final = (
    *4 * (RevocationKind.ENTRY, RevocationKind.KEY, RevocationKind.ACTOR),
    RevocationKind.USER,
    RevocationKind.ISSUER,
)
ONE_OF: Final = {"constraint_type": "one_of", "values": ["/a", "/b"]}
EXACT: Final = {"constraint_type": "exact", "value": "/a"}
ANY: Final = {"constraint_type": "wildcard"}


def up_to(most: int) -> Members:
    return {"constraint_type": "range", "min": 0, "max": most}


# Each is within the one before it, by the rules of the constraints.
LADDER: Final = (
    detail({"read": {"path": ANY, "size": ANY}, "write": {}}),
    detail({"read": {"path": ANY, "size": up_to(10)}}),
    detail({"read": {"path": ONE_OF, "size": up_to(5)}}, API, FILES),
    detail({"read": {"path": EXACT, "size": up_to(5)}}, API),
)
OTHER_DETAILS: Final = (
    detail({"write": {"path": EXACT, "size": up_to(5)}}),
    detail({"read": {"path": EXACT, "size": up_to(50)}}),
    detail({"read": {}}, FILES),
    {"type": "payment", "limit": 5},
)
WILD_DETAILS: Final[st.SearchStrategy[Members]] = st.lists(
    st.sampled_from([*LADDER, *OTHER_DETAILS]), min_size=1, max_size=2, unique_by=json.dumps
).map(lambda granted: {"authorization_details": granted})


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of a chain: what it says, and the compact JWS that says so where it is signed."""

    members: Members
    jws: str | None = None

    @property
    def entry(self) -> Members:
        return self.members if self.jws is None else {"jws": self.jws}


Chain = tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """Whose word a signed text is, and for which place: the user, the lineage and the index of the hop."""

    by: str
    user: str
    lineage: str
    index: int


@dataclass(frozen=True, slots=True)
class Made:
    """A token, and what it was made of."""

    text: str
    claims: Members
    chain: Chain
    is_lawful: bool


def key_of(agent: str) -> SigningKey:
    return holder(agent) if agent in HONEST else THIEF


def bind(agent: str) -> Members:
    return {"jkt": key_of(agent).public.thumbprint}


def user_of(chain: Chain) -> str:
    root = chain[0]
    return str(root.members["sub"] if root.jws is None else PREFIX + root.members["sub"])


def plainly(members: Members) -> Members:
    """The members that a plain hop has."""
    known = ("actor", "scope", "resources", "max_depth", "authorization_details", "cnf", "iat", "exp", "jti", "parent")
    return present({name: members[name] for name in known if name in members})


def present(members: Members) -> Members:
    """Without what was drawn as None: to be left out."""
    return {name: value for name, value in members.items() if value is not None}


class SignedDelegations(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.count = 0
        # The whole truth about signatures.
        self.words: dict[str, Word] = {}
        self.links: list[Link] = []
        self.made: list[Made] = []
        self.revocations: list[Revocation] = []

    def fresh(self) -> str:
        self.count += 1
        return jti(f"fresh {self.count}")

    # What honest parties do.

    @initialize(target=tokens, order=st.permutations(HONEST), by_authority=st.booleans())
    def begin(self, order: list[str], *, by_authority: bool) -> MultipleResults[Made]:
        """A lineage down to its third agent, so that there are genuine grants for every place; and a second one."""
        made = [self.begun(order[0], by_authority=by_authority)]
        for agent, scope in zip(order[1:], ("crm.* mail.send", "crm.read mail.send"), strict=True):
            wanted = {"scope": scope, "authorization_details": [LADDER[len(made)]]}
            link = self.grant(made[-1].chain, agent, wanted)
            made.append(self.keep((*made[-1].chain, link), is_lawful=True))
        return multiple(*made, self.begun(order[0], by_authority=by_authority))

    @rule(target=tokens, agent=st.sampled_from(AGENTS), by_authority=st.booleans())
    def start(self, agent: str, *, by_authority: bool) -> Made:
        return self.begun(agent, by_authority=by_authority)

    def begun(self, agent: str, *, by_authority: bool) -> Made:
        top = self.signed_root(agent, AUTHORITY_KEY, by=AUTHORITY) if by_authority else Link(self.root(USER))
        scope = "crm.* files.read mail.send" if agent in HONEST else "crm.* mail.send"
        above = {**self.root(""), "jti": top.members["jti"]}
        hop = SIM.hop(above, agent, jti=self.fresh(), scope=scope, cnf=bind(agent), authorization_details=[LADDER[0]])
        # Only an authority can vouch for the key of an agent that the verifier does not know.
        return self.keep((top, Link(hop)), is_lawful=by_authority or agent in HONEST)

    def root(self, sub: str) -> Members:
        details = [LADDER[0], OTHER_DETAILS[3]]
        times = {"iat": self.now, "exp": self.now + 3600}
        return SIM.root(jti=self.fresh(), sub=sub, scope=ROOT_SCOPE, authorization_details=details, **times)

    def signed_root(self, agent: str, key: SigningKey, *, by: str) -> Link:
        """A root for `agent` under the authority's name, signed with `key`."""
        members = SIM.signed_root(self.root(PREFIX + USER), agent, key_of(agent))
        text = seal({"typ": "delegation-root+jwt", "alg": "ES256", "kid": AUTHORITY_KEY.kid}, members, key)
        self.words[text] = Word(by, PREFIX + USER, members["jti"], 0)
        return Link(members, text)

    @rule(target=tokens, token=tokens, agent=st.sampled_from(AGENTS), data=st.data())
    def delegate(self, token: Made, agent: str, data: st.DataObject) -> Made:
        """Less than the delegator has, signed by it; another agent's, or the delegator's own narrowed grant."""
        chain = token.chain
        wanted = self.narrower(chain[-1].members, data)
        actors = [hop.members["actor"] for hop in chain[1:]]
        may = wanted != {} and (agent == actors[-1] or agent not in actors) and len(chain) <= MAX_DEPTH
        return self.keep((*chain, self.grant(chain, agent, wanted)), is_lawful=token.is_lawful and may)

    @rule(target=tokens, token=tokens, data=st.data())
    def delegate_greedily(self, token: Made, data: st.DataObject) -> Made:
        """The delegator signs whatever it is asked to: a signature makes nothing narrower."""
        chain, agent = token.chain, self.fitting(token.chain, data)
        leaf = chain[-1].members
        wish = data.draw(st.one_of(WILD_DETAILS, st.just({"scope": leaf["scope"]}), self.wild()))
        wanted = {**self.narrower(leaf, data), **wish}
        return self.keep((*chain, self.grant(chain, agent, wanted)), is_lawful=False)

    @rule(target=tokens, token=tokens, data=st.data())
    def delegate_plainly(self, token: Made, data: st.DataObject) -> Made:
        """The service's word alone, which is not enough here."""
        agent = self.fitting(token.chain, data)
        chain, above = token.chain, token.chain[-1].members
        members = {**self.narrower(above, data), "actor": agent, "cnf": bind(agent)}
        link = Link(plainly({**above, **members, "jti": self.fresh(), "parent": above["jti"]}))
        return self.keep((*chain, link), is_lawful=False)

    @staticmethod
    def fitting(chain: Chain, data: st.DataObject) -> str:
        """An agent that may stand below `chain`: so that it is another fault that a token is refused for."""
        actors = [link.members["actor"] for link in chain[1:]]
        return str(data.draw(st.sampled_from([*(agent for agent in AGENTS if agent not in actors), actors[-1]])))

    def grant(self, chain: Chain, agent: str, wanted: Members) -> Link:
        """A hop below `chain`, truly signed by its last actor."""
        above = chain[-1].members
        place = {"iss": above["actor"], "sub": user_of(chain), "aud": ISSUER, "root": chain[0].members["jti"]}
        links = {"index": len(chain), "jti": self.fresh(), "parent": above["jti"], "actor": agent, "cnf": bind(agent)}
        iat = max(self.now, above["iat"])
        members = present({**plainly(above), "iat": iat, **wanted, **place, **links})
        key = key_of(above["actor"])
        return self.sign(members, key, by=above["actor"] if above["actor"] in HONEST else "thief", shown=key)

    def sign(self, members: Members, key: SigningKey, *, by: str, shown: SigningKey) -> Link:
        """The grant that `members` say, signed with `key`, with the key `shown` in its header."""
        text = seal({"typ": "delegation-grant+jwt", "alg": str(shown.alg), "jwk": jwk(shown)}, members, key)
        self.words[text] = Word(by, members["sub"], members["root"], members["index"])
        return Link(members, text)

    def narrower(self, leaf: Members, data: st.DataObject) -> Members:
        """Lawful wishes below `leaf`: at least one scope name less; none where there is nothing left to leave out."""
        meaning = scope_meaning(leaf["scope"])
        less = [name for name in SCOPES if scope_meaning(name) and scope_meaning(name) < meaning]
        if not less:
            return {}
        scope = {data.draw(st.sampled_from(less))}
        for name in data.draw(st.lists(st.sampled_from(less), max_size=2)):
            if scope_meaning(" ".join([*scope, name])) < meaning:
                scope.add(name)
        held = [LADDER.index(each) for each in leaf.get("authorization_details", []) if each in LADDER]
        rungs = st.integers(min(held), len(LADDER) - 1) if held else st.nothing()
        keeps_some = bool(held) and data.draw(st.booleans())
        details = [LADDER[data.draw(rungs)]] if keeps_some else None
        resources = leaf["resources"][: data.draw(st.sampled_from([1, 2]))]
        exp = data.draw(st.sampled_from([leaf["exp"], leaf["exp"] - 600]))
        return {"scope": " ".join(sorted(scope)), "resources": resources, "exp": exp, "authorization_details": details}

    def wild(self) -> st.SearchStrategy[Members]:
        """One member of a hop, as nobody may have asked for."""
        return st.one_of(
            WILD_DETAILS,
            st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3, unique=True).map(
                lambda s: {"scope": " ".join(s)}
            ),
            st.sampled_from([[API], [FILES], [API, FILES], ["urn:other"]]).map(lambda uris: {"resources": uris}),
            st.sampled_from([60, 1800, 3600, 9000]).map(lambda seconds: {"exp": self.now + seconds}),
            st.sampled_from([-3600, 0, 30]).map(lambda seconds: {"iat": self.now + seconds}),
            st.integers(0, 10).map(lambda depth: {"max_depth": depth}),
        )

    def keep(self, chain: Chain, *, is_lawful: bool) -> Made:
        self.links += [link for link in chain if link not in self.links]
        return self.add(self.token(chain, is_lawful=is_lawful))

    def add(self, made: Made) -> Made:
        self.made.append(made)
        self.judge(made)
        return made

    def token(self, chain: Chain, *, is_lawful: bool) -> Made:
        leaf = chain[-1].members
        claims = {
            "iss": ISSUER,
            "sub": user_of(chain),
            "aud": leaf["resources"][0],
            "client_id": leaf["actor"],
            "scope": leaf["scope"],
            "iat": max(self.now, leaf["iat"]),
            "exp": min(self.now + 300, leaf["exp"]),
            "jti": self.fresh(),
            "act": act(*(link.members["actor"] for link in reversed(chain[1:]))),
            "grant_profile": 1,
            "grant_chain": [link.entry for link in chain],
        }
        claims |= {name: leaf[name] for name in ("authorization_details", "cnf") if name in leaf}
        return Made(SIM.token(claims), claims, chain, is_lawful and claims["iat"] < claims["exp"])

    @rule(token=tokens)
    def renew(self, token: Made) -> None:
        self.keep(token.chain, is_lawful=token.is_lawful)

    # What ends a token.

    @rule(
        token=tokens,
        kind=st.sampled_from(REVOKED_KINDS),
        place=st.integers(0, 5),
        up_to_s=st.sampled_from([-10, 0, LEEWAY_S]),
    )
    def revoke(self, token: Made, kind: RevocationKind, place: int, up_to_s: int) -> None:
        chain = token.chain
        hop = chain[1 + place % (len(chain) - 1)].members
        match kind:
            case RevocationKind.ENTRY:
                subject, not_before = chain[place % len(chain)].members["jti"], None
            case RevocationKind.KEY:
                subject, not_before = hop["cnf"]["jkt"], None
            case RevocationKind.USER:
                subject, not_before = user_of(chain), self.now + up_to_s
            case RevocationKind.ACTOR:
                subject, not_before = hop["actor"], self.now + up_to_s
            case RevocationKind.ISSUER:
                subject, not_before = chain[0].members["iss"], self.now + up_to_s
        self.revocations.append(Revocation(kind=kind, id=subject, not_before=not_before, until=None))

    @rule(seconds=st.sampled_from([1, 5, 29, 31, 200]))
    def step_the_clock(self, seconds: int) -> None:
        self.now += seconds

    def is_dead(self, chain: Chain) -> bool:
        """Something in the chain was revoked: in words, not by the code that the verifier asks."""
        root, *hops = (link.members for link in chain)
        names = {
            RevocationKind.ENTRY: [(entry["jti"], 0) for entry in (root, *hops)],
            RevocationKind.KEY: [(hop["cnf"]["jkt"], 0) for hop in hops if "cnf" in hop],
            RevocationKind.USER: [(user_of(chain), root["iat"])],
            RevocationKind.ACTOR: [(hop["actor"], hop["iat"]) for hop in hops],
            RevocationKind.ISSUER: [(ISSUER, root["iat"]), (root["iss"], root["iat"])],
        }
        return any(
            (revoked.not_before is None or iat <= revoked.not_before)
            for revoked in self.revocations
            for name, iat in names[revoked.kind]
            if name == revoked.id
        )

    # What the token service does when it has turned bad.

    @rule(token=tokens, data=st.data(), changes=st.integers(0, 3))
    def tamper(self, token: Made, data: st.DataObject, changes: int) -> None:
        forged = list(token.chain)
        for _ in range(changes):
            self.spoil(forged, data)
        made = self.token(tuple(self.aligned(forged)), is_lawful=False)
        if not changes or data.draw(st.booleans()):
            changed = {**made.claims, **data.draw(self.token_changes())}
            made = replace(made, claims=changed, text=SIM.token(changed))
        self.add(made)

    @rule(token=tokens, data=st.data(), named=st.sampled_from(["delegator", "thief"]))
    def invent(self, token: Made, data: st.DataObject, named: str) -> None:
        """A hop that would be lawful, had its delegator signed it: the thief did, naming its own key or another's."""
        agent = self.fitting(token.chain, data)
        chain, above = token.chain, token.chain[-1].members
        wanted = {**self.narrower(above, data), "actor": agent, "cnf": bind(agent), "jti": self.fresh()}
        shown = key_of(above["actor"]) if named == "delegator" else THIEF
        link = self.forged(chain, len(chain), {**above, **wanted}, shown)
        self.add(self.token((*chain, link), is_lawful=False))

    @rule(token=tokens, agent=st.sampled_from(AGENTS), is_forged=st.booleans())
    def usurp(self, token: Made, agent: str, *, is_forged: bool) -> None:
        """A first hop of the service's choice below a root that is for another agent, or that the thief signed."""
        first = token.chain[1].members
        root = self.signed_root(agent, THIEF, by="thief") if is_forged else token.chain[0]
        times = {"iat": root.members["iat"], "exp": root.members["exp"]}
        links = {"parent": root.members["jti"], "jti": self.fresh(), "actor": agent, "cnf": bind(agent)}
        self.add(self.token((root, Link({**plainly(first), **times, **links})), is_lawful=False))

    @rule(token=tokens, data=st.data())
    def lift(self, token: Made, data: st.DataObject) -> None:
        """A genuine grant of the same delegator, below another hop than it was made for.

        Best below a first hop: that one is plain, and takes whatever name the grant knows its parent by.
        """
        for place in range(2, min(len(token.chain), 3) + 1):
            delegator = token.chain[place - 1].members["actor"]
            grants = [link for link in self.links if link.jws is not None and link.members["iss"] == delegator]
            if grants:
                lifted = [*token.chain[:place], data.draw(st.sampled_from(grants))]
                self.add(self.token(tuple(self.aligned(lifted)), is_lawful=False))

    def spoil(self, chain: list[Link], data: st.DataObject) -> None:
        index = data.draw(st.integers(1, len(chain) - 1))
        link, other = chain[index], data.draw(st.sampled_from(self.links))
        shown = key_of(data.draw(st.sampled_from(AGENTS)))
        match data.draw(
            st.sampled_from(["reuse", "append", "cut", "plain", "forge", "invent", "change", "root", "swap"])
        ):
            case "reuse" if "parent" in other.members:
                chain[index] = other
            case "append" if "parent" in other.members and len(chain) < 8:
                chain.append(other)
            case "cut" if len(chain) > 2:
                del chain[index]
            case "plain":
                chain[index] = Link(plainly(link.members))
            case "forge":
                chain[index] = self.forged(chain, index, {**link.members, **data.draw(self.wild())}, shown)
            case "invent" if len(chain) < 8:
                actor = data.draw(st.sampled_from([*AGENTS, "nobody"]))
                wanted = {**self.narrower(chain[-1].members, data), "actor": actor, "jti": self.fresh()}
                cnf = bind(data.draw(st.sampled_from([actor, "thief"])))
                chain.append(self.forged(chain, len(chain), {**chain[-1].members, **wanted, "cnf": cnf}, shown))
            case "change" if link.jws is None:
                named = st.sampled_from(AGENTS).map(lambda agent: {"actor": agent})
                bound = st.sampled_from(AGENTS).map(lambda agent: {"cnf": bind(agent)})
                chain[index] = Link(plainly({**link.members, **data.draw(st.one_of(self.wild(), named, bound))}))
            case "root" if "parent" not in other.members:
                chain[0] = other
            case "swap" if index + 1 < len(chain):
                chain[index], chain[index + 1] = chain[index + 1], chain[index]
            case _:
                pass

    def forged(self, chain: Sequence[Link], index: int, members: Members, shown: SigningKey) -> Link:
        """The hop as the thief signs it: under its own key, or with another agent's key in the header."""
        above = chain[index - 1].members
        root = chain[0]
        place = {"iss": above.get("actor", "x"), "sub": user_of((root,)), "aud": ISSUER, "root": root.members["jti"]}
        parent = {"index": index, "parent": above["jti"], "cnf": members.get("cnf", bind("thief"))}
        return self.sign({**plainly(members), **place, **parent}, THIEF, by="thief", shown=shown)

    @staticmethod
    def aligned(chain: list[Link]) -> list[Link]:
        """What the service writes itself, made to fit what it cannot change."""
        for index, link in enumerate(chain):
            if index and link.jws is None:
                members = link.members
                # Above a genuine grant it takes the name that the grant knows its parent by.
                below = chain[index + 1] if index + 1 < len(chain) else None
                name = below.members["parent"] if below is not None and below.jws is not None else members["jti"]
                chain[index] = Link({**members, "parent": chain[index - 1].members["jti"], "jti": name})
        return chain

    @staticmethod
    def token_changes() -> st.SearchStrategy[Members]:
        values: list[Members] = [{"scope": scope} for scope in (ROOT_SCOPE, "crm.*", "crm.read", "admin")]
        values += [{"aud": audience} for audience in (API, FILES, ISSUER)]
        values += [{"exp": NOW + seconds} for seconds in (200, 3600, 9000)]
        values += [{"authorization_details": [each]} for each in (LADDER[0], OTHER_DETAILS[2])]
        values += [{"client_id": agent} for agent in AGENTS] + [{"cnf": bind(agent)} for agent in AGENTS]
        values += [{"sub": user} for user in (USER, PREFIX + USER, "user-2")]
        values += [{"act": act(agent)} for agent in AGENTS] + [{"act": act("thief", "planner")}]
        return st.sampled_from(values)

    # What must hold.

    def reason(self, text: str) -> Reason | None:
        revocations = RevocationList(tuple(self.revocations), as_of=self.now, max_staleness_s=0)
        return SIM.reason(text, keys=KEYS, expect=EXPECT, now=self.now, revocations=revocations, proof=PROVEN)

    def judge(self, made: Made) -> None:
        claims, chain = made.claims, made.chain
        reason = self.reason(made.text)
        is_over = self.now >= claims["exp"] + LEEWAY_S
        dead = self.is_dead(chain)
        if made.is_lawful:
            assert reason is (Reason.EXPIRED if is_over else Reason.REVOKED if dead else None), reason
        if reason is not None:
            return
        assert not is_over
        assert not dead
        self.require_signed(chain)
        self.require_linked(claims, chain)
        self.require_within(claims, chain)

    def require_signed(self, chain: Chain) -> None:
        """Every hop from the second on is its delegator's word for this place, and hop 1 has a key that is known."""
        root, first = chain[0], chain[1].members
        for index, (above, link) in enumerate(pairwise(chain[1:]), start=2):
            delegator = above.members["actor"] if above.members["actor"] in HONEST else "thief"
            assert link.jws is not None
            assert self.words[link.jws] == Word(delegator, user_of(chain), root.members["jti"], index)
        if first["actor"] in HONEST:
            assert first["cnf"] == bind(first["actor"])
        else:
            assert root.jws is not None
        if root.jws is not None:
            assert self.words[root.jws].by == AUTHORITY
            assert (first["actor"], first["cnf"]) == (root.members["actor"], root.members["cnf"])

    @staticmethod
    def require_linked(claims: Members, chain: Chain) -> None:
        """The token, its actors and its entries belong together."""
        entries = [link.members for link in chain]
        actors = [hop["actor"] for hop in entries[1:]]
        assert claims["act"] == act(*reversed(actors))
        assert claims["client_id"] == actors[-1]
        assert claims["cnf"] == entries[-1]["cnf"]
        assert claims["sub"] == user_of(chain)
        assert [hop["parent"] for hop in entries[1:]] == [entry["jti"] for entry in entries[:-1]]
        assert len({claims["jti"], *(entry["jti"] for entry in entries)}) == len(entries) + 1
        assert len(set(actors)) == len([actor for actor, _ in groupby(actors)])

    @staticmethod
    def require_within(claims: Members, chain: Chain) -> None:
        """No call is allowed by the token, or by a hop, that any entry above does not allow."""
        entries = [link.members for link in chain]
        for index, hop in enumerate(entries[1:], start=1):
            for above in entries[:index]:
                assert allowed(hop) <= allowed(above)
                assert scope_meaning(hop["scope"]) < scope_meaning(above["scope"])
                assert hop["exp"] <= above["exp"]
                assert hop["iat"] >= above["iat"]
                assert index <= above["max_depth"] >= hop["max_depth"]
        leaf = entries[-1]
        audiences = {claims["aud"]} & {*leaf["resources"], ISSUER}
        assert audiences
        token = {**claims, "resources": sorted(audiences)}
        assert all(allowed(token) <= allowed(entry) for entry in entries)

    def teardown(self) -> None:
        # What has not changed since they were made was judged then.
        if self.revocations or self.now != NOW:
            for made in self.made:
                self.judge(made)


TestSignedDelegations = SignedDelegations.TestCase
# The same histories in every run of what judges a change; others wherever else it runs.
TestSignedDelegations.settings = settings(
    max_examples=80, stateful_step_count=25, derandomize=os.environ.get("TOKENSVC_REQUIRE_ALL") == "1"
)
