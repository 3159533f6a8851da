"""The MUSTs of the RFCs that this project implements, each tied to the tests that prove it.

A row names its tests, and each of those tests carries `@pytest.mark.requirement("ID")`: both ways are checked by
tests/test_requirements.py, so that neither a row nor a proof can go missing without notice.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["REQUIREMENTS", "Requirement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One demand of an RFC. `tests` are pytest node ids without parameters, from the project's root."""

    id: str
    section: str
    text: str
    tests: tuple[str, ...]


REQUIREMENTS: Final = (
    Requirement(
        id="JSON-UTF8",
        section="RFC 8259 s8.1",
        text="JSON text exchanged between systems is UTF-8, without a byte-order mark.",
        tests=(
            "tests/core/test_jsontext.py::test_text_that_is_not_plain_utf8_is_refused",
            "tests/verify/test_claims.py::test_a_payload_that_is_no_strict_json_object_is_refused",
        ),
    ),
    Requirement(
        id="JSON-NUMBERS",
        section="RFC 8259 s6",
        text="Only numbers that every implementation reads alike: within the range and precision of a double.",
        tests=("tests/core/test_jsontext_numbers.py::test_a_number_that_a_double_cannot_hold_as_written_is_refused",),
    ),
    Requirement(
        id="JWS-COMPACT",
        section="RFC 7515 s7.1",
        text="A compact JWS is three base64url parts joined by periods.",
        tests=("tests/core/test_jws.py::test_what_was_sealed_is_opened_and_verifies",),
    ),
    Requirement(
        id="JWS-SIGNING-INPUT",
        section="RFC 7515 s5.2",
        text="The signature is over the received bytes of header and payload.",
        tests=("tests/core/test_jws.py::test_what_was_sealed_is_opened_and_verifies",),
    ),
    Requirement(
        id="JWS-BASE64URL",
        section="RFC 7515 s2",
        text="base64url: the URL-safe alphabet, no padding.",
        tests=("tests/core/test_base64url.py::test_what_was_encoded_is_decoded",),
    ),
    Requirement(
        id="JWS-NO-PADDING",
        section="RFC 7515 s2",
        text="No trailing =, line breaks, whitespace or other additional characters.",
        tests=("tests/core/test_base64url.py::test_padding_whitespace_and_foreign_letters_are_refused_everywhere",),
    ),
    Requirement(
        id="JWS-UNIQUE-MEMBERS",
        section="RFC 7515 s4",
        text="Header parameter names are unique (here: every JSON object's).",
        tests=(
            "tests/core/test_jsontext.py::test_a_member_named_twice_is_refused_at_any_level",
            "tests/verify/test_header.py::test_a_header_that_is_no_strict_json_object_is_refused",
        ),
    ),
    Requirement(
        id="JWS-CRIT",
        section="RFC 7515 s4.1.11",
        text="A crit that is empty, names standard parameters, or is not understood makes the JWS invalid.",
        tests=("tests/verify/test_header.py::test_a_header_with_any_other_member_is_refused",),
    ),
    Requirement(
        id="JWS-B64",
        section="RFC 7797 s6",
        text="The b64 extension is not silently accepted where it is not supported.",
        tests=("tests/verify/test_header.py::test_a_header_with_any_other_member_is_refused",),
    ),
    Requirement(
        id="JWS-NONE",
        section="RFC 7518 s3.6",
        text="An unsecured JWS is not accepted.",
        tests=("tests/verify/test_header.py::test_an_algorithm_that_is_not_on_the_list_is_refused",),
    ),
    Requirement(
        id="ES256-LENGTH",
        section="RFC 7518 s3.4",
        text="An ES256 signature is R and S, 32 octets each; any other length fails.",
        tests=(
            "tests/core/test_signatures.py::test_es256_signatures_of_another_length_or_form_are_refused",
            "tests/verify/test_jose_attacks.py::test_malleable_and_psychic_signatures_on_a_token",
        ),
    ),
    Requirement(
        id="ED25519-SIGNATURE",
        section="RFC 8032 s5.1.7",
        text="An Ed25519 signature decodes as R and S of 32 octets each with S below the group order, or is invalid.",
        tests=(
            "tests/core/test_ed25519.py::test_ed25519_signatures_of_another_length_or_form_are_refused",
            "tests/core/test_vectors_jose.py::test_every_raw_ed25519_signature_is_judged_as_wycheproof_does",
        ),
    ),
    Requirement(
        id="ED25519-POINT",
        section="RFC 8032 s5.1.3",
        text="A public key is a point of the curve in its one encoding; anything else does not decode.",
        tests=("tests/core/test_ed25519.py::test_of_any_32_bytes_exactly_the_sound_points_are_keys",),
    ),
    Requirement(
        id="ED25519-NAMES",
        section="RFC 9864 s2.2",
        text="Ed25519 is the name that is written; EdDSA is deprecated.",
        tests=("tests/core/test_ed25519.py::test_the_old_name_is_read_and_never_written",),
    ),
    Requirement(
        id="OKP-JWK",
        section="RFC 8037 s2",
        text="kty, crv and x are present; x is the public key in base64url; the thumbprint is over crv, kty and x.",
        tests=("tests/core/test_ed25519.py::test_the_thumbprint_and_the_signature_are_those_of_rfc_8037",),
    ),
    Requirement(
        id="JWK-SET",
        section="RFC 7517 s5",
        text="A JWK Set is an object with an array named keys.",
        tests=("tests/core/test_keyset.py::test_a_rendered_key_set_is_read_back_and_holds_no_private_member",),
    ),
    Requirement(
        id="JWK-UNKNOWN-IGNORED",
        section="RFC 7517 s5",
        text="Keys of an unknown kty, with missing members or out of the supported range are ignored.",
        tests=("tests/core/test_keyset.py::test_keys_of_kinds_that_are_not_in_use_are_passed_over",),
    ),
    Requirement(
        id="JWK-USE",
        section="RFC 7517 s4.2, s4.3",
        text="A key is used as its use and key_ops say.",
        tests=("tests/core/test_keyset.py::test_a_key_that_is_not_for_our_signatures_is_passed_over",),
    ),
    Requirement(
        id="JWK-UNIQUE-KID",
        section="RFC 7517 s4.5",
        text="Different keys of a set have different kid values.",
        tests=("tests/core/test_keyset.py::test_a_kid_or_a_key_that_stands_twice_is_refused",),
    ),
    Requirement(
        id="JWK-NO-PRIVATE",
        section="RFC 7517 s9.2",
        text="Private and symmetric key material is never disclosed in a public set.",
        tests=(
            "tests/core/test_keyset_refusals.py::test_a_private_member_in_a_public_set_is_refused_even_on_a_key_that_is_not_used",
        ),
    ),
    Requirement(
        id="DPOP-BOUND",
        section="RFC 9449 s5, s6.1",
        text="A token for a request with a proof is bound to its key: `cnf.jkt`, and `token_type` is DPoP.",
        tests=("tests/exchange/test_holder.py::test_a_start_with_a_proof_gives_a_token_that_is_bound_to_the_key",),
    ),
    Requirement(
        id="DPOP-HOLDER",
        section="RFC 9449 s5",
        text="A bound token is of no use to who does not prove its key.",
        tests=("tests/exchange/test_holder.py::test_a_bound_token_is_exchanged_by_nobody_who_does_not_prove_its_key",),
    ),
    Requirement(
        id="DPOP-REPLAY",
        section="RFC 9449 s11.1",
        text="A proof is accepted once within the time in which it counts.",
        tests=(
            "tests/exchange/test_holder.py::test_a_proof_is_used_once",
            "tests/integrations/test_dpop.py::test_a_proof_is_good_for_one_call",
        ),
    ),
    Requirement(
        id="DPOP-ANY-CLIENT",
        section="RFC 9449 s5, s8",
        text="Clients that know DPoP, nonces included, prove their keys without knowing of this service.",
        tests=("tests/interop/test_dpop.py::test_a_delegation_between_agents_that_hold_keys",),
    ),
    Requirement(
        id="MTLS-PKI",
        section="RFC 8705 s2.1",
        text="With `tls_client_auth` the certificate chain is validated to a trusted authority.",
        tests=(
            "tests/exchange/test_client_certificate.py::test_an_agent_is_known_by_the_name_that_an_authority_gave_it",
        ),
    ),
    Requirement(
        id="MTLS-SUBJECT",
        section="RFC 8705 s2.1.2",
        text="The subject is the one name that is registered for the client.",
        tests=(
            "tests/exchange/test_client_certificate.py::test_an_agent_is_known_by_the_name_that_an_authority_gave_it",
        ),
    ),
    Requirement(
        id="MTLS-SELF-SIGNED",
        section="RFC 8705 s2.2",
        text="With `self_signed_tls_client_auth` the certificate is one of those registered for the client.",
        tests=("tests/exchange/test_client_certificate.py::test_an_agent_is_known_by_its_own_certificate",),
    ),
    Requirement(
        id="MTLS-CLIENT-ID",
        section="RFC 8705 s2",
        text="A client that authenticates by its certificate sends `client_id`, and is that client.",
        tests=(
            "tests/exchange/test_client_certificate.py::test_the_client_id_says_whose_the_certificate_has_to_be",
            "tests/server/test_client_certificate.py::test_at_every_endpoint_a_certificate_and_client_id_are_who_sent_it",
        ),
    ),
    Requirement(
        id="MTLS-BOUND",
        section="RFC 8705 s3, s3.1, s3.2",
        text="A bound token has `cnf` with `x5t#S256`, in introspection too, and is of no use without the certificate.",
        tests=(
            "tests/server/test_client_certificate.py::test_a_token_is_bound_and_needs_the_same_certificate_again",
            "tests/server/test_client_certificate.py::test_an_agent_with_bound_tokens_gets_none_without_a_certificate",
        ),
    ),
    Requirement(
        id="MTLS-PROXY",
        section="RFC 8705 s6.5, RFC 9440 s4",
        text="What a proxy says of certificates is believed from that proxy alone.",
        tests=("tests/server/test_client_certificate.py::test_a_header_is_believed_from_the_proxy_alone",),
    ),
    Requirement(
        id="MTLS-METADATA",
        section="RFC 8705 s2.1.1, s2.2.1, s3.3",
        text="The metadata name the methods that work, and that tokens are bound.",
        tests=(
            "tests/server/test_client_certificate.py::test_the_metadata_name_what_works_here",
            "tests/server/test_client_certificate.py::test_the_metadata_say_when_tokens_of_an_agent_are_bound",
        ),
    ),
    Requirement(
        id="CLIENT-ISSUER",
        section="RFC 8414 s3.3",
        text="An agent uses metadata only where it names the very issuer that was asked for.",
        tests=("tests/client/test_discovery.py::test_metadata_that_must_not_be_used_is_not",),
    ),
    Requirement(
        id="CLIENT-PROOF",
        section="RFC 9449 s4.2, s4.3, s7.1",
        text="An agent makes a proof for each request, with its method and URI and the hash of the token.",
        tests=(
            "tests/client/test_proofs.py::test_every_request_carries_a_new_proof_for_this_request_and_this_token",
            "tests/client/test_lease_auth.py::test_a_bound_token_goes_with_a_proof_for_each_request",
        ),
    ),
    Requirement(
        id="CLIENT-NONCE",
        section="RFC 9449 s8, s8.2, s9",
        text="An agent takes up the nonce that a server gives, and uses the newest.",
        tests=(
            "tests/client/test_proofs.py::test_the_newest_nonce_of_any_answer_is_the_next_one_sent",
            "tests/client/test_lease_auth.py::test_a_nonce_is_taken_up_once_and_remembered",
        ),
    ),
    Requirement(
        id="CLIENT-DOWNGRADE",
        section="RFC 9449 s5",
        text="An agent that proves a key discards a token that is not bound to it.",
        tests=("tests/client/test_proofs.py::test_a_bearer_token_for_a_proven_key_is_refused",),
    ),
    Requirement(
        id="CLIENT-ASSERTION",
        section="RFC 7523 s3",
        text="An agent's assertion names it, the issuer as audience, and an end; a new one goes with each request.",
        tests=("tests/client/test_auth.py::test_a_key_signs_a_new_assertion_for_each_request",),
    ),
    Requirement(
        id="CLIENT-REDIRECT",
        section="RFC 6750 s5.2",
        text="An agent's token goes to the origin of its resource and to no other, whatever a redirect says.",
        tests=("tests/client/test_lease_auth.py::test_a_redirect_elsewhere_goes_without_the_token",),
    ),
    Requirement(
        id="JWK-THUMBPRINT",
        section="RFC 7638 s3",
        text="The thumbprint is SHA-256 over the required members in lexicographic order.",
        tests=(
            "tests/core/test_keyset.py::test_the_thumbprint_is_the_one_of_rfc_7638",
            "tests/core/test_vectors_dpop_proof.py::test_the_key_of_the_figure_has_the_thumbprint_that_the_rfc_names",
        ),
    ),
    Requirement(
        id="JWT-EXP",
        section="RFC 7519 s4.1.4",
        text="On or after its exp a token is not accepted; small leeway.",
        tests=("tests/verify/test_time.py::test_a_token_is_expired_from_its_exp_on_with_leeway_for_clocks",),
    ),
    Requirement(
        id="JWT-NBF",
        section="RFC 7519 s4.1.5",
        text="Before its nbf a token is not accepted; small leeway.",
        tests=("tests/verify/test_time.py::test_a_token_from_the_future_is_refused_with_leeway_for_clocks",),
    ),
    Requirement(
        id="JWT-NUMERICDATE",
        section="RFC 7519 s4.1.4, s4.1.5, s4.1.6",
        text="exp, nbf and iat are numbers (here: integers).",
        tests=("tests/verify/test_claims.py::test_a_time_that_is_no_whole_number_of_seconds_is_refused",),
    ),
    Requirement(
        id="JWT-UNKNOWN-CLAIMS",
        section="RFC 7519 s4",
        text="Claims that are not understood are ignored.",
        tests=("tests/verify/test_accepted.py::test_claims_that_the_profile_does_not_name_are_ignored",),
    ),
    Requirement(
        id="JWT-BCP-ALG-LIST",
        section="RFC 8725 s3.1",
        text="Only algorithms on the caller's list are used; anything else is rejected.",
        tests=("tests/verify/test_header.py::test_an_algorithm_that_is_not_on_the_list_is_refused",),
    ),
    Requirement(
        id="JWT-BCP-ONE-ALG",
        section="RFC 8725 s3.1",
        text="A key is used with exactly one algorithm.",
        tests=(
            "tests/core/test_keyset_refusals.py::test_a_key_of_another_kind_than_its_algorithm_is_refused",
            "tests/verify/test_header.py::test_a_listed_algorithm_that_is_not_the_one_of_the_key_is_refused",
        ),
    ),
    Requirement(
        id="JWT-BCP-MIXED-KEYS",
        section="RFC 8725 s2.1, s3.1",
        text="A public key set holds no symmetric keys, so no public key is ever a shared secret.",
        tests=("tests/core/test_keyset_refusals.py::test_a_symmetric_key_in_a_public_set_is_refused",),
    ),
    Requirement(
        id="JWT-BCP-VALIDATE-ALL",
        section="RFC 8725 s3.3",
        text="Every check is made, and the whole token rejected when any fails.",
        tests=("tests/verify/test_first_failure.py::test_of_any_two_faults_the_earlier_one_decides",),
    ),
    Requirement(
        id="JWT-BCP-ENCODING",
        section="RFC 8725 s3.7",
        text="UTF-8 only, for header and claims.",
        tests=(
            "tests/core/test_jsontext.py::test_a_lone_surrogate_is_refused_wherever_it_stands",
            "tests/verify/test_claims.py::test_a_payload_that_is_no_strict_json_object_is_refused",
        ),
    ),
    Requirement(
        id="JWT-BCP-ISS",
        section="RFC 8725 s3.8",
        text="The keys used belong to the issuer; iss is compared exactly.",
        tests=(
            "tests/verify/test_claims.py::test_a_claim_that_must_be_text_and_is_not_is_refused",
            "tests/verify/test_claims.py::test_a_token_that_names_another_issuer_is_refused_before_any_key_is_sought",
        ),
    ),
    Requirement(
        id="JWT-BCP-AUD",
        section="RFC 8725 s3.9",
        text="A token for another audience is rejected.",
        tests=("tests/verify/test_claims.py::test_a_token_for_another_audience_is_refused",),
    ),
    Requirement(
        id="JWT-BCP-KID",
        section="RFC 8725 s3.10",
        text="Received kid values are looked up, never interpreted.",
        tests=("tests/verify/test_header.py::test_a_kid_that_names_no_key_of_the_issuer_is_refused",),
    ),
    Requirement(
        id="JWT-BCP-HEADER-KEYS",
        section="RFC 8725 s3.10",
        text="jku, x5u and keys in the header are not trusted, nothing is fetched.",
        tests=(
            "tests/verify/test_header.py::test_a_header_with_any_other_member_is_refused",
            "tests/verify/test_jose_attacks.py::test_a_key_that_the_token_brings_along_is_never_used",
        ),
    ),
    Requirement(
        id="JWT-BCP-TYP",
        section="RFC 8725 s3.11, s3.12",
        text="Explicit typing: a token of another kind is rejected.",
        tests=(
            "tests/verify/test_header.py::test_a_token_of_another_kind_is_refused_by_its_type",
            "tests/verify/test_kinds.py::test_a_jwt_of_one_kind_is_refused_in_the_place_of_another",
            "tests/core/test_vectors_dpop_proof.py::test_its_header_around_the_claims_of_a_token_is_refused_by_type",
            "tests/server/test_kinds.py::test_at_the_token_endpoint_only_its_own_kind_passes",
        ),
    ),
    Requirement(
        id="JWT-BCP-FORMAT",
        section="RFC 7519 s1",
        text="A JWT is always in the compact form; the JSON serialisation is none.",
        tests=(
            "tests/core/test_jws.py::test_text_that_is_no_compact_jws_is_refused",
            "tests/verify/test_jose_attacks.py::test_only_the_compact_form_without_any_ornament_is_a_token",
        ),
    ),
    Requirement(
        id="RFC9068-TYP",
        section="RFC 9068 s2.1, s4",
        text="typ is at+jwt or application/at+jwt; any other value is rejected.",
        tests=(
            "tests/verify/test_accepted.py::test_both_spellings_of_the_type_are_accepted_in_any_case",
            "tests/verify/test_header.py::test_a_token_of_another_kind_is_refused_by_its_type",
        ),
    ),
    Requirement(
        id="RFC9068-RS256",
        section="RFC 9068 s2.1",
        text="RS256 is among the supported algorithms.",
        tests=("tests/verify/test_accepted.py::test_a_token_under_any_of_the_algorithms_is_accepted",),
    ),
    Requirement(
        id="RFC9068-REQUIRED",
        section="RFC 9068 s2.2",
        text="iss, exp, aud, sub, client_id, iat, jti are required.",
        tests=("tests/verify/test_claims.py::test_a_token_without_a_required_claim_is_refused",),
    ),
    Requirement(
        id="RFC9068-ISS",
        section="RFC 9068 s4",
        text="iss matches exactly the identifier of a trusted authorization server.",
        tests=(
            "tests/verify/test_claims.py::test_a_token_that_names_another_issuer_is_refused_before_any_key_is_sought",
        ),
    ),
    Requirement(
        id="RFC9068-AUD",
        section="RFC 9068 s4",
        text="aud names the resource itself, or the token is rejected.",
        tests=(
            "tests/verify/test_claims.py::test_a_token_without_a_required_claim_is_refused",
            "tests/verify/test_claims.py::test_a_token_for_another_audience_is_refused",
        ),
    ),
    Requirement(
        id="RFC9068-OWN-SUBJECT",
        section="RFC 9068 s2.2",
        text="In a token that a client got for itself, sub is an identifier of the client: there is no user.",
        tests=("tests/exchange/test_user_claims.py::test_a_token_that_a_client_got_for_itself_has_no_user",),
    ),
    Requirement(
        id="JWT-BCP-EXCLUSIVE",
        section="RFC 8725 s3.12",
        text="Kinds of JWTs of one issuer have validation rules that exclude each other.",
        tests=(
            "tests/exchange/test_user_token_kinds.py::test_each_kind_starts_as_what_it_is_and_never_as_the_other",
            "tests/oracles/test_oidc_provider.py::test_neither_kind_of_token_passes_for_the_other",
        ),
    ),
    Requirement(
        id="OIDC-ID-TOKEN-AUD",
        section="OpenID Connect Core s3.1.3.7",
        text="aud of an ID token holds the client's id and nothing untrusted; azp, when present, is the client's id.",
        tests=("tests/exchange/test_user_token_kinds.py::test_an_id_token_starts_only_for_the_client_it_was_made_for",),
    ),
    Requirement(
        id="OIDC-DISCOVERY-ISSUER",
        section="OpenID Connect Discovery s4.3",
        text="The issuer in the metadata is exactly the issuer that it was asked of, and that of the tokens.",
        tests=("tests/verify/test_jwks_discovery.py::test_metadata_of_another_issuer_gives_no_keys",),
    ),
    Requirement(
        id="OIDC-DISCOVERY-PATH",
        section="OpenID Connect Discovery s4",
        text="The metadata is at the issuer, without a slash at its end, and /.well-known/openid-configuration.",
        tests=("tests/verify/test_jwks_discovery.py::test_the_metadata_stands_below_the_issuer",),
    ),
    Requirement(
        id="SCOPE-SYNTAX",
        section="RFC 6749 s3.3",
        text="scope-tokens of printable ASCII without quotation mark and backslash, single spaces between.",
        tests=(
            "tests/core/test_scope.py::test_exactly_the_characters_of_rfc_6749_stand_in_a_scope_token",
            "tests/core/test_scope.py::test_text_that_is_no_scope_is_refused",
            "tests/verify/test_claims.py::test_a_scope_that_is_none_is_refused",
        ),
    ),
    Requirement(
        id="SCOPE-CASE-SENSITIVE",
        section="RFC 6749 s3.3",
        text="Scopes are case-sensitive strings.",
        tests=("tests/core/test_scope.py::test_scopes_of_different_spelling_are_different",),
    ),
    Requirement(
        id="OAUTH-ERROR-CHARS",
        section="RFC 6749 s5.2",
        text="error_description has no characters outside %x20-21, %x23-5B, %x5D-7E.",
        tests=("tests/core/test_errors.py::test_a_description_holds_only_what_an_error_description_may_hold",),
    ),
    Requirement(
        id="BEARER-INSUFFICIENT-SCOPE",
        section="RFC 6750 s3.1",
        text="A request that needs more than the token grants is denied with insufficient_scope.",
        tests=("tests/verify/test_accepted.py::test_a_call_beyond_the_scope_is_denied",),
    ),
    Requirement(
        id="CNF-ONE-METHOD",
        section="RFC 7800 s3.1",
        text="cnf represents a single proof-of-possession key.",
        tests=("tests/verify/test_claims.py::test_a_confirmation_that_is_not_exactly_one_thumbprint_is_refused",),
    ),
    Requirement(
        id="CNF-PROOF",
        section="RFC 9449 s7.1, RFC 8705 s3",
        text="A bound token is not accepted without the proof of its key, nor an unbound one beside a proof.",
        tests=(
            "tests/verify/test_claims.py::test_a_bound_token_is_refused_without_a_proof",
            "tests/verify/test_holder.py::test_a_token_bound_to_no_key_goes_without_a_proof_and_with_any_certificate",
        ),
    ),
    Requirement(
        id="TE-ACT-OBJECT",
        section="RFC 8693 s4.1",
        text="act is a JSON object whose members identify the actor.",
        tests=("tests/verify/test_act.py::test_an_act_that_is_no_object_with_a_sub_is_refused",),
    ),
    Requirement(
        id="TE-ACT-MEMBERS",
        section="RFC 8693 s4.1",
        text="Claims that are no identity (exp, nbf, aud) have no place in act.",
        tests=("tests/verify/test_act.py::test_an_act_with_any_other_member_is_refused_at_every_level",),
    ),
    Requirement(
        id="TE-ACT-NESTED",
        section="RFC 8693 s4.1",
        text="The outermost act is the current actor, nested ones are prior actors.",
        tests=(
            "tests/core/test_chain_laws.py::test_rendered_actors_are_read_back",
            "tests/verify/test_act.py::test_actors_that_are_not_exactly_those_of_the_chain_are_refused",
        ),
    ),
    Requirement(
        id="TE-TOP-LEVEL",
        section="RFC 8693 s4.1",
        text="Access is decided by the top-level claims and the current actor; prior actors never add to it.",
        tests=("tests/verify/test_leaf.py::test_a_token_with_another_scope_than_its_hop_is_refused",),
    ),
    Requirement(
        id="TE-SUBJECT-KEPT",
        section="RFC 8693 s1.1",
        text="Under delegation sub stays the user, whoever acts.",
        tests=("tests/verify/test_chain_structure.py::test_a_token_for_another_user_than_the_root_is_refused",),
    ),
    Requirement(
        id="TE-SCOPE-CLAIM",
        section="RFC 8693 s4.2",
        text="The scope claim is one string of space-separated scopes.",
        tests=("tests/verify/test_claims.py::test_a_scope_that_is_none_is_refused",),
    ),
    Requirement(
        id="TE-CLIENT-ID",
        section="RFC 8693 s4.3",
        text="client_id is the client that requested the token.",
        tests=("tests/verify/test_leaf.py::test_a_token_issued_to_another_client_than_its_actor_is_refused",),
    ),
    Requirement(
        id="URI-ABSOLUTE",
        section="RFC 3986 s4.3, RFC 8707 s2",
        text="A resource is an absolute URI.",
        tests=(
            "tests/core/test_resource_uri.py::test_an_absolute_uri_is_a_resource",
            "tests/core/test_resource_uri.py::test_text_that_is_no_absolute_uri_without_fragment_is_no_resource",
            "tests/verify/test_chain_shape.py::test_resources_that_are_no_list_of_different_absolute_uris_are_refused",
        ),
    ),
    Requirement(
        id="URI-NO-FRAGMENT",
        section="RFC 8707 s2",
        text="A resource has no fragment.",
        tests=(
            "tests/core/test_resource_uri.py::test_text_that_is_no_absolute_uri_without_fragment_is_no_resource",
            "tests/verify/test_chain_shape.py::test_resources_that_are_no_list_of_different_absolute_uris_are_refused",
        ),
    ),
    Requirement(
        id="TE-ANY-CLIENT",
        section="RFC 8693 s2.1, s2.2",
        text="Requests and answers are those that token exchange clients send and take.",
        tests=("tests/interop/test_delegation.py::test_a_delegation_is_started_handed_on_and_picked_up",),
    ),
    Requirement(
        id="OAUTH-POST",
        section="RFC 6749 s3.2",
        text="The token endpoint is used with POST.",
        tests=("tests/server/test_errors.py::test_only_post_is_allowed_at_the_endpoints",),
    ),
    Requirement(
        id="OAUTH-FORM",
        section="RFC 6749 App. B",
        text="Parameters come as application/x-www-form-urlencoded in UTF-8.",
        tests=(
            "tests/server/test_form.py::test_a_form_is_decoded",
            "tests/server/test_form.py::test_another_media_type_is_refused_before_the_client_is_asked",
        ),
    ),
    Requirement(
        id="OAUTH-EMPTY",
        section="RFC 6749 s3.2",
        text="A parameter without a value is treated as if it was left out.",
        tests=(
            "tests/server/test_form.py::test_a_form_is_decoded",
            "tests/server/test_token.py::test_a_refusal_is_a_400_that_names_its_reason_and_its_record",
        ),
    ),
    Requirement(
        id="OAUTH-UNKNOWN",
        section="RFC 6749 s3.2",
        text="Unrecognised parameters are ignored.",
        tests=("tests/server/test_token.py::test_unknown_parameters_are_ignored",),
    ),
    Requirement(
        id="OAUTH-ONCE",
        section="RFC 6749 s3.2",
        text="Parameters are not included more than once.",
        tests=(
            "tests/server/test_token.py::test_a_refusal_is_a_400_that_names_its_reason_and_its_record",
            "tests/server/test_introspect.py::test_a_form_without_one_token_is_refused",
            "tests/server/test_revoke.py::test_a_form_without_one_token_is_refused",
        ),
    ),
    Requirement(
        id="OAUTH-CLIENT-AUTH",
        section="RFC 6749 s3.2.1",
        text="Clients that were issued credentials authenticate.",
        tests=(
            "tests/server/test_client_auth.py::test_every_failed_authentication_gets_the_same_answer",
            "tests/server/test_client_auth.py::test_registered_clients_authenticate_the_way_they_are_registered",
        ),
    ),
    Requirement(
        id="OAUTH-ONE-METHOD",
        section="RFC 6749 s2.3",
        text="Not more than one authentication method in a request.",
        tests=(
            "tests/server/test_client_auth.py::test_two_ways_at_once_are_refused",
            "tests/server/test_client_auth.py::test_two_authorization_headers_are_refused",
        ),
    ),
    Requirement(
        id="OAUTH-BASIC",
        section="RFC 6749 s2.3.1",
        text="HTTP Basic is supported, its parts form-encoded.",
        tests=("tests/server/test_client_auth.py::test_basic_is_understood_form_encoded_and_raw",),
    ),
    Requirement(
        id="OAUTH-NO-QUERY",
        section="RFC 6749 s2.3.1",
        text="Credentials are not included in the request URI.",
        tests=("tests/server/test_form.py::test_anything_in_the_query_is_refused",),
    ),
    Requirement(
        id="OAUTH-INVALID-CLIENT",
        section="RFC 6749 s5.2",
        text="A failed Authorization header is answered 401 with WWW-Authenticate.",
        tests=(
            "tests/server/test_client_auth.py::test_every_failed_authentication_gets_the_same_answer",
            "tests/interop/test_delegation.py::test_a_wrong_secret_is_the_error_that_the_library_has_for_it",
        ),
    ),
    Requirement(
        id="OAUTH-ERROR",
        section="RFC 6749 s5.2",
        text="Errors are 400 and JSON with error.",
        tests=(
            "tests/server/test_token.py::test_a_refusal_is_a_400_that_names_its_reason_and_its_record",
            "tests/interop/test_delegation.py::test_a_refusal_is_the_error_that_the_library_has_for_it",
        ),
    ),
    Requirement(
        id="OAUTH-NO-STORE",
        section="RFC 6749 s5.1",
        text="Cache-Control: no-store and Pragma: no-cache on every answer that carries a token.",
        tests=("tests/server/test_journey.py::test_the_answer_has_every_member_of_rfc_8693_and_no_refresh_token",),
    ),
    Requirement(
        id="TE-HTTP-RESPONSE",
        section="RFC 8693 s2.2.1",
        text="access_token, issued_token_type and token_type are in every answer.",
        tests=("tests/server/test_journey.py::test_the_answer_has_every_member_of_rfc_8693_and_no_refresh_token",),
    ),
    Requirement(
        id="TE-HTTP-INVALID-REQUEST",
        section="RFC 8693 s2.2.2",
        text="A request or token that is not acceptable is answered invalid_request.",
        tests=("tests/server/test_token.py::test_a_refusal_is_a_400_that_names_its_reason_and_its_record",),
    ),
    Requirement(
        id="TE-HTTP-TARGETS",
        section="RFC 8693 s2.1",
        text="resource and audience may repeat and be used together.",
        tests=("tests/server/test_token.py::test_targets_may_repeat_and_be_mixed",),
    ),
    Requirement(
        id="META-PATH",
        section="RFC 8414 s3.1",
        text="The well-known path is inserted between the issuer's host and path.",
        tests=("tests/server/test_discovery.py::test_the_metadata_is_where_clients_look_and_its_endpoints_are_there",),
    ),
    Requirement(
        id="META-ISSUER",
        section="RFC 8414 s3.3",
        text="issuer is identical to the issuer identifier that the URL was made of.",
        tests=("tests/server/test_discovery.py::test_the_metadata_is_where_clients_look_and_its_endpoints_are_there",),
    ),
    Requirement(
        id="META-MEMBERS",
        section="RFC 8414 s2",
        text="The required members are there, and every URL is one.",
        tests=("tests/server/test_discovery.py::test_the_metadata_says_all_that_is_there_and_nothing_else",),
    ),
    Requirement(
        id="META-JSON",
        section="RFC 8414 s3.2",
        text="200 with a JSON object of type application/json.",
        tests=("tests/server/test_discovery.py::test_the_metadata_says_all_that_is_there_and_nothing_else",),
    ),
    Requirement(
        id="INTROSPECT-TOKEN",
        section="RFC 7662 s2.1",
        text="token is required, in a form that is posted.",
        tests=("tests/server/test_introspect.py::test_a_form_without_one_token_is_refused",),
    ),
    Requirement(
        id="INTROSPECT-AUTH",
        section="RFC 7662 s2.1, s2.3",
        text="The caller is authorised; else 401.",
        tests=("tests/server/test_introspect.py::test_an_unauthenticated_caller_gets_401_whatever_the_token",),
    ),
    Requirement(
        id="INTROSPECT-HINT",
        section="RFC 7662 s2.1",
        text="A token that the hint does not help to find is found all the same.",
        tests=("tests/server/test_introspect.py::test_a_hint_changes_nothing",),
    ),
    Requirement(
        id="INTROSPECT-INACTIVE",
        section="RFC 7662 s2.2",
        text="A token that is inactive, or not the caller's business, is answered 200 and only active: false.",
        tests=("tests/server/test_introspect.py::test_everybody_else_and_every_other_token_gets_exactly_inactive",),
    ),
    Requirement(
        id="INTROSPECT-CHECKS",
        section="RFC 7662 s4",
        text="Expiry, signature and revocation are all checked.",
        tests=(
            "tests/server/test_introspect.py::test_an_expired_token_is_inactive",
            "tests/server/test_introspect.py::test_everybody_else_and_every_other_token_gets_exactly_inactive",
            "tests/server/test_journey.py::test_a_delegation_is_started_handed_on_picked_up_narrowed_looked_at_and_revoked",
            "tests/interop/test_delegation.py::test_its_agents_look_at_a_token_and_revoke_it",
        ),
    ),
    Requirement(
        id="REVOKE-AUTH",
        section="RFC 7009 s2.1",
        text="The client's credentials are verified first.",
        tests=("tests/server/test_revoke.py::test_an_unauthenticated_caller_revokes_nothing",),
    ),
    Requirement(
        id="REVOKE-OWN",
        section="RFC 7009 s2.1",
        text="A token that was not issued to the client is refused, and it is told so.",
        tests=("tests/server/test_revoke.py::test_an_agent_below_may_not_revoke_what_stands_above",),
    ),
    Requirement(
        id="REVOKE-UNKNOWN",
        section="RFC 7009 s2.2",
        text="An invalid token is answered 200.",
        tests=("tests/server/test_revoke.py::test_a_token_that_is_none_of_ours_is_answered_like_success",),
    ),
    Requirement(
        id="REVOKE-DONE",
        section="RFC 7009 s2.1",
        text="The token is invalidated at once and cannot be used again after the revocation.",
        tests=(
            "tests/server/test_revoke.py::test_the_delegator_revokes_what_it_handed_on",
            "tests/interop/test_delegation.py::test_its_agents_look_at_a_token_and_revoke_it",
        ),
    ),
    Requirement(
        id="REVOKE-503",
        section="RFC 7009 s2.2.1",
        text="503 says that the token still exists, with Retry-After.",
        tests=(
            "tests/server/test_errors.py::test_trouble_of_ours_is_503_everywhere_issues_nothing_and_is_logged_without_values",
        ),
    ),
    Requirement(
        id="HTTP-ALLOW",
        section="RFC 9110 s15.5.6",
        text="405 names the allowed methods in Allow.",
        tests=(
            "tests/server/test_errors.py::test_only_post_is_allowed_at_the_endpoints",
            "tests/server/test_errors.py::test_documents_are_only_read",
        ),
    ),
    Requirement(
        id="HTTP-CHALLENGE",
        section="RFC 9110 s15.5.2",
        text="401 carries a challenge in WWW-Authenticate.",
        tests=("tests/server/test_client_auth.py::test_every_failed_authentication_gets_the_same_answer",),
    ),
    Requirement(
        id="OAUTH-GRANT-TYPE",
        section="RFC 6749 s5.2, RFC 8693 s2.1",
        text="grant_type says which grant is asked for; any other is answered unsupported_grant_type.",
        tests=(
            "tests/exchange/test_request.py::test_a_form_that_is_not_in_order_is_refused",
            "tests/server/test_attack_rows.py::test_no_parameter_makes_one_grant_of_another",
        ),
    ),
    Requirement(
        id="OAUTH-UNAUTHORIZED-CLIENT",
        section="RFC 6749 s5.2",
        text="A client that may not use the grant is answered unauthorized_client.",
        tests=("tests/server/test_token.py::test_a_resource_server_may_not_use_the_endpoint",),
    ),
    Requirement(
        id="OAUTH-SCOPE-INVALID",
        section="RFC 6749 s3.3, s5.2",
        text="A scope that is left out, malformed, unknown or too much fails with invalid_scope.",
        tests=(
            "tests/exchange/test_scope.py::test_a_scope_that_is_not_plainly_held_is_refused",
            "tests/exchange/test_scope.py::test_a_scope_beyond_the_registered_ceiling_of_the_client_is_refused_at_the_start",
        ),
    ),
    Requirement(
        id="OAUTH-SCOPE-ECHO",
        section="RFC 6749 s3.3, RFC 8693 s2.2.1",
        text="The answer says the scope that was granted wherever it is not the one asked for (here: always).",
        tests=("tests/exchange/test_scope.py::test_less_is_granted_exactly_as_asked_and_echoed",),
    ),
    Requirement(
        id="OAUTH-UNGUESSABLE",
        section="RFC 6749 s10.10",
        text="Credentials that are made here cannot be guessed: 2^-128 at most.",
        tests=(
            "tests/exchange/test_request.py::test_every_id_is_128_random_bits",
            "tests/cli/test_init.py::test_each_secret_is_shown_once_and_only_its_hash_is_kept",
        ),
    ),
    Requirement(
        id="OAUTH-TLS",
        section="RFC 6749 s3.2, RFC 8414 s2",
        text="The endpoints are reached by https (here: http on loopback addresses only).",
        tests=("tests/test_settings_values.py::test_unusable_value_is_refused_where_a_usable_one_is_accepted",),
    ),
    Requirement(
        id="TE-SUBJECT-TOKEN",
        section="RFC 8693 s2.1",
        text="subject_token and subject_token_type are required.",
        tests=(
            "tests/exchange/test_request.py::test_a_form_that_is_not_in_order_is_refused",
            "tests/server/test_token.py::test_a_refusal_is_a_400_that_names_its_reason_and_its_record",
        ),
    ),
    Requirement(
        id="TE-TOKEN-TYPES",
        section="RFC 8693 s2.1, s3",
        text="A type that is not supported is refused, for what is presented and for what is asked for.",
        tests=(
            "tests/exchange/test_request.py::test_a_form_that_is_not_in_order_is_refused",
            "tests/server/test_attack_rows.py::test_types_that_are_not_taken_are_invalid_requests",
        ),
    ),
    Requirement(
        id="TE-ACTOR-TOKEN-TYPE",
        section="RFC 8693 s2.1",
        text="actor_token_type is there exactly when actor_token is.",
        tests=("tests/server/test_attack_rows.py::test_types_that_are_not_taken_are_invalid_requests",),
    ),
    Requirement(
        id="TE-VALIDATE-TYPE",
        section="RFC 8693 s2.1",
        text="Subject and actor token are validated as what their type says that they are.",
        tests=(
            "tests/exchange/test_user_token_kinds.py::test_each_kind_starts_as_what_it_is_and_never_as_the_other",
            "tests/exchange/test_attack_rows.py::test_what_is_good_at_one_place_is_nothing_at_another",
        ),
    ),
    Requirement(
        id="TE-INPUTS-KEPT",
        section="RFC 8693 s2.1",
        text="An exchange has no effect on the validity of the tokens presented.",
        tests=("tests/exchange/test_request.py::test_the_inputs_are_not_used_up",),
    ),
    Requirement(
        id="TE-TARGETS-ALL",
        section="RFC 8693 s2.1, s2.2.2",
        text="A token is for all the targets asked for; if one is not possible the answer is invalid_target.",
        tests=(
            "tests/exchange/test_target.py::test_one_target_that_is_unknown_refuses_them_all",
            "tests/server/test_attack_rows.py::test_an_answer_for_several_targets_is_for_all_of_them_or_for_none",
        ),
    ),
    Requirement(
        id="TE-ISSUED-TYPE",
        section="RFC 8693 s2.2.1",
        text="issued_token_type is the type of the token that was issued.",
        tests=("tests/exchange/test_request.py::test_the_same_token_goes_by_either_type",),
    ),
    Requirement(
        id="TE-CHAIN-KEPT",
        section="RFC 8693 s4.1",
        text="The new actor is the outermost act, and the actors before it are nested within.",
        tests=("tests/exchange/test_delegate.py::test_a_delegation_adds_one_hop_below_the_others",),
    ),
    Requirement(
        id="TE-MAY-ACT",
        section="RFC 8693 s4.4",
        text="may_act says who may act; members that identify nobody have no meaning in it.",
        tests=(
            "tests/exchange/test_start_subject.py::test_a_user_token_starts_only_for_the_agent_it_was_obtained_for",
        ),
    ),
    Requirement(
        id="RFC9068-ISSUED",
        section="RFC 9068 s2.1, s2.2",
        text="A token that is issued has the type at+jwt, is signed, and has every required claim.",
        tests=(
            "tests/exchange/test_request.py::test_a_token_has_exactly_the_claims_of_the_profile",
            "tests/server/test_journey.py::test_a_token_is_verified_with_the_published_keys_by_our_verifier_and_by_pyjwt",
        ),
    ),
    Requirement(
        id="RFC9068-DEFAULT-RESOURCE",
        section="RFC 9068 s3",
        text="A request that names no resource gets a default one as aud.",
        tests=("tests/exchange/test_target.py::test_without_a_target_the_default_of_the_client_counts_and_never_all",),
    ),
    Requirement(
        id="RFC9068-SCOPE-RESOURCE",
        section="RFC 9068 s3",
        text="Scopes that have no meaning at the resource asked for are answered invalid_scope.",
        tests=("tests/exchange/test_scope.py::test_each_scope_has_a_meaning_at_one_of_the_targets",),
    ),
    Requirement(
        id="RFC9068-NAMES",
        section="RFC 9068 s5",
        text="No user has the name of a client.",
        tests=("tests/exchange/test_start_subject.py::test_a_user_with_the_id_of_a_client_is_refused",),
    ),
    Requirement(
        id="RESOURCE-INVALID",
        section="RFC 8707 s2",
        text="A resource that is malformed, unknown or not acceptable is answered invalid_target.",
        tests=(
            "tests/exchange/test_target.py::test_one_target_that_is_unknown_refuses_them_all",
            "tests/exchange/test_target.py::test_a_target_that_was_not_delegated_is_refused_like_an_unknown_one",
        ),
    ),
    Requirement(
        id="RESOURCE-AUDIENCE",
        section="RFC 8707 s2.2",
        text="A token is for the resource that was named and for no other.",
        tests=("tests/exchange/test_target.py::test_one_target_is_the_audience_and_several_are_exchange_only",),
    ),
    Requirement(
        id="RESOURCE-SUBSET",
        section="RFC 8707 s2.2",
        text="A token request names only resources that were granted before.",
        tests=("tests/exchange/test_target.py::test_a_resource_dropped_on_the_way_does_not_come_back",),
    ),
    Requirement(
        id="ASSERTION-SINGLE",
        section="RFC 7521 s4.2, RFC 7523 s2.2",
        text="client_assertion is one JWT, and client_assertion_type says so.",
        tests=(
            "tests/server/test_attack_rows.py::test_a_request_has_one_assertion_of_the_one_type_by_the_client_that_it_names",
        ),
    ),
    Requirement(
        id="ASSERTION-CLIENT-ID",
        section="RFC 7521 s4.2",
        text="A client_id beside an assertion is the client of the assertion.",
        tests=(
            "tests/server/test_attack_rows.py::test_a_request_has_one_assertion_of_the_one_type_by_the_client_that_it_names",
            "tests/exchange/test_assertion.py::test_another_key_a_changed_text_and_another_client_get_it_too",
        ),
    ),
    Requirement(
        id="ASSERTION-CLAIMS",
        section="RFC 7523 s3",
        text="iss and sub are the client_id, aud is this service and exp is there, or the JWT is refused.",
        tests=("tests/exchange/test_assertion.py::test_who_holds_the_key_is_told_what_is_wrong",),
    ),
    Requirement(
        id="ASSERTION-TIME",
        section="RFC 7523 s3",
        text="A JWT is refused after its exp and before its nbf, within a small leeway.",
        tests=(
            "tests/exchange/test_assertion.py::test_it_is_good_for_minutes",
            "tests/exchange/test_workload_clients.py::test_times_are_kept_with_the_leeway",
        ),
    ),
    Requirement(
        id="ASSERTION-SIGNED",
        section="RFC 7523 s3",
        text="A JWT without a valid signature of the client is refused.",
        tests=(
            "tests/exchange/test_assertion.py::test_another_key_a_changed_text_and_another_client_get_it_too",
            "tests/exchange/test_attack_rows.py::test_a_signature_of_another_form_is_refused",
            "tests/exchange/test_workload_clients.py::test_another_key_a_changed_text_and_another_client_get_it_too",
        ),
    ),
    Requirement(
        id="ASSERTION-INVALID-CLIENT",
        section="RFC 7523 s3.2",
        text="An assertion that is not valid is answered invalid_client.",
        tests=(
            "tests/server/test_attack_rows.py::test_a_request_has_one_assertion_of_the_one_type_by_the_client_that_it_names",
        ),
    ),
    Requirement(
        id="RAR-INVALID",
        section="RFC 9396 s2, s5, s8",
        text="What is no array of objects with a known type and all it takes is invalid_authorization_details.",
        tests=(
            "tests/exchange/test_details.py::test_what_the_user_cannot_authorise_is_refused",
            "tests/exchange/test_attack_rows.py::test_details_that_are_no_array_of_objects_are_refused",
        ),
    ),
    Requirement(
        id="RAR-COMPARED",
        section="RFC 9396 s6.1",
        text="A token request gets no more details than were granted before.",
        tests=("tests/exchange/test_details.py::test_a_delegation_may_not_widen_what_the_delegator_holds",),
    ),
    Requirement(
        id="RAR-RESPONSE",
        section="RFC 9396 s7",
        text="The answer says the details that were granted.",
        tests=(
            "tests/exchange/test_details.py::test_details_are_answered_introspected_and_recorded_and_left_out_where_there_are_none",
        ),
    ),
    Requirement(
        id="RAR-TOKEN",
        section="RFC 9396 s9.1, s9.2",
        text="The details are in the token and in its introspection.",
        tests=(
            "tests/exchange/test_details.py::test_details_go_from_the_ceiling_down_the_chain_into_the_token_as_asked",
            "tests/exchange/test_details.py::test_details_are_answered_introspected_and_recorded_and_left_out_where_there_are_none",
        ),
    ),
    Requirement(
        id="RAR-METADATA",
        section="RFC 9396 s10",
        text="The metadata names the types of details that are supported.",
        tests=(
            "tests/server/test_discovery.py::test_the_metadata_says_by_which_order_authority_is_compared_and_which_details_there_are",
        ),
    ),
    Requirement(
        id="META-AUTH-ALGS",
        section="RFC 8414 s2",
        text="With private_key_jwt the signing algorithms are named, and none is not among them.",
        tests=("tests/server/test_discovery.py::test_the_metadata_says_all_that_is_there_and_nothing_else",),
    ),
    Requirement(
        id="META-NO-EMPTY",
        section="RFC 8414 s3.2",
        text="A member without elements is left out.",
        tests=("tests/server/test_discovery.py::test_the_metadata_says_all_that_is_there_and_nothing_else",),
    ),
    Requirement(
        id="META-KEYS",
        section="RFC 8414 s2",
        text="The keys of jwks_uri are those that the service signs with.",
        tests=(
            "tests/server/test_discovery.py::test_the_key_set_is_what_the_signer_has_at_that_moment",
            "tests/server/test_journey.py::test_a_token_is_verified_with_the_published_keys_by_our_verifier_and_by_pyjwt",
        ),
    ),
    Requirement(
        id="INTROSPECT-ACTIVE",
        section="RFC 7662 s2.2",
        text="The answer is a JSON object with a boolean active, and for an active token what it says.",
        tests=("tests/server/test_introspect.py::test_the_resource_and_the_current_actor_learn_everything",),
    ),
    Requirement(
        id="REVOKE-TOKEN",
        section="RFC 7009 s2.1",
        text="token is required, in a form that is posted.",
        tests=("tests/server/test_revoke.py::test_a_form_without_one_token_is_refused",),
    ),
    Requirement(
        id="REVOKE-HINT",
        section="RFC 7009 s2.1, s2.2",
        text="A hint that is wrong or unknown keeps no token from being found.",
        tests=("tests/server/test_attack_rows.py::test_a_hint_keeps_no_token_from_being_revoked",),
    ),
    Requirement(
        id="DPOP-ONE-HEADER",
        section="RFC 9449 s4.3",
        text="There is not more than one DPoP header field.",
        tests=("tests/integrations/test_dpop.py::test_two_proofs_are_an_invalid_request_and_none_is_an_invalid_proof",),
    ),
    Requirement(
        id="DPOP-WELL-FORMED",
        section="RFC 9449 s4.3",
        text="The header is a single, well-formed JWT with all required claims.",
        tests=(
            "tests/core/test_proof.py::test_what_is_no_jws_is_refused",
            "tests/core/test_proof.py::test_a_jti_that_could_not_be_remembered_is_refused",
            "tests/core/test_proof.py::test_a_time_that_is_none_is_refused",
        ),
    ),
    Requirement(
        id="DPOP-TYP",
        section="RFC 9449 s4.3",
        text="The typ of a proof is dpop+jwt.",
        tests=("tests/core/test_proof.py::test_another_type_is_refused",),
    ),
    Requirement(
        id="DPOP-ALG",
        section="RFC 9449 s4.3",
        text="The algorithm is asymmetric, registered and acceptable here.",
        tests=(
            "tests/core/test_proof.py::test_an_algorithm_that_is_none_in_use_or_not_that_of_the_key_is_refused",
            "tests/core/test_proof.py::test_a_shared_secret_is_no_proof_even_where_it_is_the_public_key",
        ),
    ),
    Requirement(
        id="DPOP-SIGNATURE",
        section="RFC 9449 s4.3",
        text="The signature verifies with the key in the header.",
        tests=("tests/core/test_proof.py::test_a_proof_signed_by_another_key_than_the_one_it_shows_is_refused",),
    ),
    Requirement(
        id="DPOP-NO-PRIVATE",
        section="RFC 9449 s4.3",
        text="The jwk of a proof holds no private key.",
        tests=("tests/core/test_proof.py::test_a_key_is_public_and_there",),
    ),
    Requirement(
        id="DPOP-HTM",
        section="RFC 9449 s4.3",
        text="htm is the method of the request.",
        tests=("tests/core/test_proof.py::test_another_method_is_refused",),
    ),
    Requirement(
        id="DPOP-HTU",
        section="RFC 9449 s4.3",
        text="htu is the URI of the request, query and fragment left out, after normalisation.",
        tests=(
            "tests/core/test_proof.py::test_another_uri_is_refused",
            "tests/core/test_proof_uri.py::test_two_uris_are_one_exactly_when_they_name_the_same",
            "tests/core/test_proof_uri.py::test_a_uri_is_the_same_however_it_may_be_spelt",
        ),
    ),
    Requirement(
        id="DPOP-IAT",
        section="RFC 9449 s4.3, s11.1",
        text="A proof is accepted within an acceptable time of its iat only.",
        tests=("tests/core/test_proof.py::test_a_proof_lasts_a_minute_and_the_leeway",),
    ),
    Requirement(
        id="DPOP-NONCE",
        section="RFC 9449 s4.3, s9",
        text="Where the server gave a nonce, the proof has one of its own that is recent.",
        tests=(
            "tests/integrations/test_nonces.py::test_without_a_nonce_the_client_is_told_which_to_use_and_with_it_passes",
            "tests/integrations/test_nonces.py::test_a_nonce_that_is_stale_or_forged_is_answered_with_a_new_one",
        ),
    ),
    Requirement(
        id="DPOP-ATH",
        section="RFC 9449 s4.3, s7.1",
        text="With an access token, ath is its hash, and the key is the one that the token is bound to.",
        tests=(
            "tests/verify/test_holder.py::test_a_token_is_taken_with_the_proof_of_its_key_that_names_it",
            "tests/integrations/test_dpop.py::test_a_good_proof_that_is_not_for_this_token_is_an_invalid_token",
        ),
    ),
    Requirement(
        id="DPOP-CHALLENGE",
        section="RFC 9449 s7.1",
        text="The challenge of the scheme DPoP names the algorithms and the error.",
        tests=("tests/integrations/test_dpop.py::test_what_is_no_proof_of_this_call_is_an_invalid_proof",),
    ),
    Requirement(
        id="DPOP-DOWNGRADE",
        section="RFC 9449 s7.2",
        text="A bound token that comes as a bearer token is rejected.",
        tests=(
            "tests/integrations/test_dpop.py::test_a_bound_token_as_a_bearer_token_is_refused_whatever_stands_beside_it",
        ),
    ),
    Requirement(
        id="MTLS-THUMBPRINT",
        section="RFC 8705 s3",
        text="A token with x5t#S256 is good over connections with that certificate only.",
        tests=(
            "tests/integrations/test_certificates.py::test_a_token_is_taken_over_the_connection_with_its_certificate",
        ),
    ),
    Requirement(
        id="RESOURCE-METADATA-PROOFS",
        section="RFC 9728 s2",
        text="The metadata of a resource says which proofs it takes and requires.",
        tests=(
            "tests/integrations/test_resource_metadata.py::test_the_document_says_which_proofs_are_taken_and_which_is_required",
        ),
    ),
)
