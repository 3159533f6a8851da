"""The verifier library. It needs the token, the issuer's public keys and the time; it never calls home.

from tokensvc.verify import Expectation, KeySet, LifetimeOnly, StaticKeys, verify_token
"""

from tokensvc.core.authority import Attenuation, Dimension, Order
from tokensvc.core.chain import GrantChain, Hop, Root
from tokensvc.core.entry import Evidence
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.keyset import KeySet, PublicKey, parse_jwks
from tokensvc.core.proof import ClientCertificate, VerifiedProof, verify_proof
from tokensvc.core.scope import ScopeGrammar
from tokensvc.verify.cached import CachedVerifier
from tokensvc.verify.expectation import Expectation, HolderFloor
from tokensvc.verify.explain import Change, Explanation, explain_token
from tokensvc.verify.keysource import KeySource, StaticKeys
from tokensvc.verify.revocations import LifetimeOnly, RevocationList, RevocationView
from tokensvc.verify.terms_file import StatedTerms, load_expectation, load_terms
from tokensvc.verify.verified import UncheckedStep, VerifiedToken
from tokensvc.verify.verifier import HolderProof, Revocations, verify_token

__all__ = [
    "Attenuation",
    "CachedVerifier",
    "Change",
    "ClientCertificate",
    "Dimension",
    "Evidence",
    "Expectation",
    "Explanation",
    "GrantChain",
    "HolderFloor",
    "HolderProof",
    "Hop",
    "KeySet",
    "KeySource",
    "LifetimeOnly",
    "Order",
    "PublicKey",
    "RevocationList",
    "RevocationView",
    "Revocations",
    "Root",
    "ScopeGrammar",
    "StatedTerms",
    "StaticKeys",
    "UncheckedStep",
    "VerifiedProof",
    "VerifiedToken",
    "explain_token",
    "load_expectation",
    "load_terms",
    "parse_json_object",
    "parse_jwks",
    "verify_proof",
    "verify_token",
]
