import pytest

from tokensvc.core.secure_url import is_loopback, origin_of, require_secure_url
from tokensvc.errors import Malformed


@pytest.mark.parametrize(
    "url",
    [
        "https://as.example",
        "https://as.example:8443/t1",
        "http://127.0.0.1:8080",
        "http://[::1]/",
        "http://localhost",
    ],
)
def test_secrets_go_over_https_or_stay_on_this_machine(url: str) -> None:
    require_secure_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://as.example",
        "http://localhost.example",
        "http://127.0.0.1@as.example",
        "https://user@as.example",
        "https://as.example#x",
        "https://as.example:port",
        "https://[::1",
        "https://",
        "ftp://127.0.0.1",
        "as.example",
        "https://as example",
        "",
    ],
)
def test_every_other_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Malformed) as caught:
        require_secure_url(url)
    assert "as.example" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://As.Example/path?q#f", ("https", "as.example", 443)),
        ("https://as.example:443", ("https", "as.example", 443)),
        ("https://as.example:8443", ("https", "as.example", 8443)),
        ("http://as.example", ("http", "as.example", 80)),
        ("https://user@as.example", ("https", "as.example", 443)),
        ("ftp://as.example", None),
        ("https://", None),
        ("https://as.example:99999", None),
        ("urn:api", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: tuple[str, str, int] | None) -> None:
    assert origin_of(url) == origin


def test_loopback_is_this_machine() -> None:
    assert is_loopback("127.1.2.3")
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("as.example")
