from typing import Any

import pytest

from tokensvc.integrations.resource_metadata import metadata_url, protected_resource_metadata
from tokensvc.verify import HolderFloor


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://api.example", "https://api.example/.well-known/oauth-protected-resource"),
        ("https://api.example/", "https://api.example/.well-known/oauth-protected-resource"),
        ("https://api.example/crm", "https://api.example/.well-known/oauth-protected-resource/crm"),
        ("https://api.example/crm/", "https://api.example/.well-known/oauth-protected-resource/crm/"),
        ("https://api.example:8443/a/b", "https://api.example:8443/.well-known/oauth-protected-resource/a/b"),
        ("https://api.example/?t=1", "https://api.example/.well-known/oauth-protected-resource?t=1"),
        ("https://api.example/a?t=1", "https://api.example/.well-known/oauth-protected-resource/a?t=1"),
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"),
        ("https://[::1]/mcp", "https://[::1]/.well-known/oauth-protected-resource/mcp"),
    ],
)
def test_the_well_known_path_stands_between_host_and_path(resource: str, url: str) -> None:
    assert metadata_url(resource) == url


@pytest.mark.parametrize(
    "resource",
    ["", "/crm", "api.example", "urn:example:crm", "https:crm", "ftp://api.example", "https://api.example/#x"],
)
def test_a_resource_that_is_no_absolute_http_url_has_no_metadata(resource: str) -> None:
    with pytest.raises(ValueError, match="resource: not an absolute"):
        metadata_url(resource)


def test_the_document_names_resource_issuers_scopes_and_how_tokens_are_taken() -> None:
    document = protected_resource_metadata(
        resource="https://api.example",
        authorization_servers=["https://tokens.example"],
        scopes_supported=["crm.read", "crm.write"],
    )
    assert document == {
        "resource": "https://api.example",
        "authorization_servers": ["https://tokens.example"],
        "scopes_supported": ["crm.read", "crm.write"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "RS256"],
    }


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, {}),
        ({"holder": HolderFloor.PROOF}, {"dpop_bound_access_tokens_required": True}),
        ({"takes_certificates": True}, {"tls_client_certificate_bound_access_tokens": True}),
        (
            {"holder": HolderFloor.PROOF, "takes_certificates": True},
            {"tls_client_certificate_bound_access_tokens": True},
        ),
    ],
)
@pytest.mark.requirement("RESOURCE-METADATA-PROOFS")
def test_the_document_says_which_proofs_are_taken_and_which_is_required(
    terms: dict[str, Any], said: dict[str, bool]
) -> None:
    document = protected_resource_metadata(
        resource="https://api.example", authorization_servers=["https://tokens.example"], **terms
    )
    names = ("dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens")
    assert {name: document[name] for name in names if name in document} == said


def test_an_empty_list_of_scopes_is_left_out() -> None:
    document = protected_resource_metadata(
        resource="https://api.example", authorization_servers=["https://tokens.example"]
    )
    assert "scopes_supported" not in document


@pytest.mark.parametrize(
    "change",
    [
        {"resource": "crm"},
        {"authorization_servers": []},
        {"authorization_servers": ["tokens.example"]},
        {"authorization_servers": "https://tokens.example"},
        {"scopes_supported": "crm.read"},
        {"scopes_supported": ["crm.read crm.write"]},
        {"scopes_supported": [""]},
    ],
)
def test_a_document_that_would_mislead_is_refused(change: dict[str, Any]) -> None:
    right: dict[str, Any] = {"resource": "https://api.example", "authorization_servers": ["https://tokens.example"]}
    protected_resource_metadata(**right)
    with pytest.raises(ValueError, match=r"resource|authorization_servers|scopes_supported"):
        protected_resource_metadata(**{**right, **change})
