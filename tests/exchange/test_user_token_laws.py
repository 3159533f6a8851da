"""Law: in a user's token nothing but the configured claims changes what it starts."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.parties import CRM, identity_provider, make_registry
from tests.exchange.watched import finish
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import Members
from tokensvc.errors import OAuthRefused
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE


def names(text: str) -> list[str]:
    return text.split()


# What the settings of this provider, the profile, or a kind of token gives a meaning.
CONFIGURED: Final = frozenset(
    names(
        "iss sub aud iat exp nbf azp client_id may_act ext tid authorization_details cnf act grant_chain grant_profile"
    )
    + names("typ token_use gty idtyp at_hash c_hash s_hash events")
)
# What tokens of others really carry, and what an attacker would hope for.
TEMPTING: Final = st.sampled_from(
    names("scope scp roles groups permissions entitlements resource resources max_depth delegation_chain jti sid acr")
    + names(
        "amr auth_time realm_access resource_access admin is_admin sub_id subject email upn preferred_username role"
    )
    + names("parent actor actor_token depth root lineage ceiling session_lifetime_s wids __proto__")
)
NAMES: Final = TEMPTING | st.text(min_size=1, max_size=12).filter(lambda name: name not in CONFIGURED)
SCALARS: Final = st.sampled_from(
    ["crm.delete", "crm.delete crm.export", "planner", "*", "", True, False, None, 0, 1, 9_999_999_999]
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
# Those two are no claims to `World.user_token`, but say how the token is made.
MORE: Final = st.dictionaries(NAMES.filter(lambda name: name not in {"key", "header"}), VALUES, max_size=5)


def make() -> World:
    provider = identity_provider(
        scope_claim=("ext", "scopes"),
        scope_map={"reader": frozenset({"crm.read"}), "writer": frozenset({"crm.write", "crm.read"})},
        required_claims=((("tid",), ("t1",)),),
        id_tokens=True,
        id_token_scope=frozenset({"crm.export"}),
    )
    return finish(make_world(registry=make_registry(provider=provider)))


def root_of(world: World, token: str, token_type: str) -> Members:
    request = world.starting(token, subject_token_type=token_type, scope="crm.read", resource=CRM)
    issued = finish(world.exchange("planner", request))
    claims = claims_of(issued.access_token)
    root: Members = claims["grant_chain"][0]
    return {**root, "jti": None, "holder": claims.get("cnf"), "client_id": claims["client_id"], "aud": claims["aud"]}


PLAIN: Final[Members] = {"scope": None, "tid": "t1", "ext": {"scopes": ["writer", "Domain Users"]}}


@given(more=MORE, inner=MORE)
def test_claims_that_are_not_configured_change_nothing(more: Members, inner: Members) -> None:
    world = make()
    ext = {**{name: value for name, value in inner.items() if name != "scopes"}, "scopes": ["writer", "Domain Users"]}
    access = world.user_token(**PLAIN)
    more_access = world.user_token(**{**PLAIN, **more, "ext": ext})
    identity = {"header": {"typ": "JWT"}, "aud": "planner", "client_id": None}
    plain_identity = world.user_token(**{**PLAIN, **identity})
    more_identity = world.user_token(**{**PLAIN, **more, **identity, "ext": ext})

    assert root_of(world, more_access, ACCESS_TOKEN_TYPE) == root_of(world, access, ACCESS_TOKEN_TYPE)
    assert root_of(world, more_identity, ID_TOKEN_TYPE) == root_of(world, plain_identity, ID_TOKEN_TYPE)


@given(
    claims=st.dictionaries(
        st.sampled_from(sorted(CONFIGURED - {"ext", "tid", "sub", "iss", "exp"})), VALUES, max_size=4
    )
)
def test_claims_that_are_configured_refuse_or_leave_the_authority_as_it_was(claims: Members) -> None:
    world = make()
    plain = root_of(world, world.user_token(**PLAIN), ACCESS_TOKEN_TYPE)
    try:
        found = root_of(world, world.user_token(**{**PLAIN, **claims}), ACCESS_TOKEN_TYPE)
    except OAuthRefused:
        return
    assert found == plain
