"""What `tokensvc init` writes: the configuration, and how its agents prove themselves."""

from typing import Final

__all__ = ["CONFIGURATION", "agent_by_key", "agent_by_secret"]

CONFIGURATION: Final = """\
# tokensvc: who may delegate what to whom. Written by `tokensvc init`, and works as it is.
# Check it after every change: tokensvc check-config
# Single values may also come from the environment: TOKENSVC_SERVER__PORT=8701 is `port` in [server].

# The URL of this token service, as its tokens name it (iss). Every endpoint is this and /token, /introspect, ...
# https, but for this machine alone; no slash at the end.
issuer = "http://127.0.0.1:8700"

# How authority is compared. Tell your verifiers the same three: where they differ, tokens are refused.
attenuation = "scope"            # what each delegation leaves out: a scope; or "authority": a scope, resource or tool
proper_from = 1                  # 2: the first agent may hold all that the user's token carries
scope_grammar = "exact"          # or "segments", in which crm.* covers crm.read
# evidence = "delegator"         # agents sign what they delegate, and nothing is delegated without

[store]
url = "sqlite:///tokensvc.db"    # a file beside this one; memory: forgets everything when the process ends

[server]
host = "127.0.0.1"
port = 8700

[keys]
dir = "keys"                     # tokensvc keys rotate replaces the key that signs
algorithm = "ES256"              # or Ed25519, RS256

[limits]
depth = 5                        # delegations in a row, 10 at most
token_lifetime_s = 300           # of one token, 900 at most; agents renew
root_lifetime_s = 28800          # of everything that follows from one user's token, 8 hours at most
leeway_s = 30                    # between clocks, 60 at most
token_bytes = 8000               # the size of an issued token, 16384 at most

# The identity provider whose users may delegate.
# This one is a STAND-IN FOR DEVELOPMENT: its private key lies in {idp_private}, so whoever reads that file
# is every user. Put your own provider's values here, discovery = true in place of jwks_file, and delete {idp_private}.
# docs/identity-providers.md has the settings for Keycloak, Entra ID, Okta, Auth0, Google and Cognito.
[[identity_provider]]
iss = "https://idp.invalid"
jwks_file = "{idp_public}"       # or jwks_url = "https://...", or discovery = true
audience = ["tokensvc"]          # what its tokens for this service carry in aud
typ = ["at+jwt"]                 # RFC 9068; some providers write JWT
algorithms = ["RS256"]
subject_prefix = ""              # put before the names of its users, "corp:" say; no agent id may start with it then
session_lifetime_s = 0           # 0: a delegation ends with the user's token
# What its users can authorise at most. Tools of theirs: authorization_details = [ {{ type = "attenuating_agent_token",
# tools = {{ search = {{}} }} }} ]; every token repeats the list, so keep it short.
ceiling = {{ resources = ["https://api.example"], max_depth = 5 }}

# Agents. A user with crm.read, crm.write and crm.export starts planner with less than that, and planner may hand
# still less to researcher: every step gives something up.
[[agent]]
id = "planner"
{planner}
scopes = ["crm.read", "crm.write"]
resources = ["https://api.example"]
default_resource = "https://api.example"
may_delegate_to = ["researcher"]
fronts = []                      # clients that obtain the user's token for this agent alone, such as a chat UI
# max_lifetime_s = 3600          # of a delegation to this agent
# max_depth = 3
# serves = ["https://api.example"]                  # it is the server there, and calls further with what it is shown:
# downstream_resources = ["https://mail.example"]   # here, while that token lives
# enabled = false                # bars the agent

[[agent]]
id = "researcher"
{researcher}
scopes = ["crm.read"]
resources = ["https://api.example"]
default_resource = "https://api.example"

# What tokens are for.
[[resource]]
id = "https://api.example"       # the aud of its tokens
names = ["crm"]                  # what the parameter audience may call it
scopes = ["crm.read", "crm.write", "crm.export"]
# enforces_details = true        # it checks the tool and the arguments of every call
client_id = "crm-api"            # its name and secret for asking about tokens (introspection)
secret_sha256 = ["{crm_api}"]
"""


def agent_by_secret(digest: str) -> str:
    """The keys of an `[[agent]]` that has a secret with this SHA-256."""
    return f"""\
auth = "client_secret_basic"     # or client_secret_post; or private_key_jwt: tokensvc init --agent-keys shows how
secret_sha256 = ["{digest}"]    # two may live at once, to replace one without an outage"""


def agent_by_key(jwks_file: str, holder_jwks_file: str) -> str:
    """The keys of an `[[agent]]` that proves itself by one key, and holds its tokens by another."""
    return f"""\
auth = "private_key_jwt"         # it signs a JWT for every request: no secret that could be sent to the wrong place
jwks_file = "{jwks_file}"
holder_jwks_file = "{holder_jwks_file}"   # its tokens are bound to this key; stolen, they are good for nothing"""
