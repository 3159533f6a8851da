"""The store's address: what a Redis URL may be, where its password is read, and that nobody ever sees it."""

import traceback
from pathlib import Path

import pytest

from tests.settings_file import change, examine, problems, valid_values, write_settings
from tokensvc.errors import ConfigurationError
from tokensvc.settings import Settings, load_settings
from tokensvc.settings.redis_url import RedisUrl, parse_redis_url
from tokensvc.settings.start import load_store_password

URL = ("store", "url")


def redis_url(**changes: object) -> RedisUrl:
    plain: dict[str, object] = {"host": "h", "port": 6379, "db": 0, "username": None, "password": None, "tls": False}
    return RedisUrl(**{**plain, **changes})  # type: ignore[arg-type] # each case names fields


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("redis://h", {}, "redis://h:6379/0"),
        ("redis://h/", {}, "redis://h:6379/0"),
        ("rediss://h:7/3", {"tls": True, "port": 7, "db": 3}, "rediss://h:7/3"),
        ("redis://10.0.0.7:1", {"host": "10.0.0.7", "port": 1}, "redis://10.0.0.7:1/0"),
        ("redis://[::1]:1", {"host": "::1", "port": 1}, "redis://[::1]:1/0"),
        ("redis://redis_1.internal", {"host": "redis_1.internal"}, "redis://redis_1.internal:6379/0"),
        ("redis://:pw@h", {"password": "pw"}, "redis://:***@h:6379/0"),
        ("redis://user@h", {"username": "user"}, "redis://user@h:6379/0"),
        ("redis://user:p:w@h", None, ""),
        ("redis://user:p%3Aw%40%2F%25@h", {"username": "user", "password": "p:w@/%"}, "redis://user:***@h:6379/0"),
        ("redis://user:p%C3%A9@h", {"username": "user", "password": "pé"}, "redis://user:***@h:6379/0"),
        ("redis://", None, ""),
        ("redis:///0", None, ""),
        ("redis://h:0", None, ""),
        ("redis://h:65536", None, ""),
        ("redis://h:x", None, ""),
        ("redis://[::1", None, ""),
        ("redis://h/x", None, ""),
        ("redis://h/-1", None, ""),
        ("redis://h/00", None, ""),
        ("redis://h/0/1", None, ""),
        ("redis://h?db=1", None, ""),
        ("redis://h/0?ssl_cert_reqs=none", None, ""),
        ("redis://h#x", None, ""),
        ("redis://h\n", None, ""),
        ("redis://hé", None, ""),
        ("redis://a@b@h", None, ""),
        ("redis://u:%FF@h", None, ""),
        ("redis://u:%0A@h", None, ""),
        ("redis://u:%4@h", None, ""),
        ("redis://u:p w@h", None, ""),
    ],
)
def test_a_redis_url_is_read_or_refused_whole(text: str, parts: dict[str, object] | None, shown: str) -> None:
    if parts is None:
        with pytest.raises(ValueError, match=r"^(it|user|what) "):
            parse_redis_url(text)
    else:
        assert parse_redis_url(text) == redis_url(**parts)
        assert str(parse_redis_url(text)) == shown


@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_redis_store_is_configured(tmp_path: Path, place: str) -> None:
    url = "rediss://user:hunter2@redis.example:7000/3"
    values = change(valid_values(), URL, url if place == "file" else "memory:")
    environ = {"TOKENSVC_STORE__URL": url} if place == "environment" else {}
    settings = load_settings(write_settings(tmp_path, values), environ)
    assert settings.store.redis_url == redis_url(
        host="redis.example", port=7000, db=3, username="user", password="hunter2", tls=True
    )
    assert settings.store.sqlite_path is None


def test_the_password_is_never_shown(tmp_path: Path) -> None:
    settings = examine(tmp_path, change(valid_values(), URL, "redis://user:hunter2@h"))
    assert isinstance(settings, Settings)
    assert settings.store.shown == "redis://user:***@h:6379/0"
    assert "hunter2" not in "".join(map(repr, (settings, settings.store, settings.store.redis_url)))
    for broken in ("redis://u:hunter2@h:x", "redis://u:hunter2@h/x", "redis://u:hunter2 @h", "redis:/u:hunter2@h"):
        found = examine(tmp_path, change(valid_values(), URL, broken))
        assert isinstance(found, tuple)
        assert len(found) == 1
        assert "hunter2" not in "".join([repr(found[0]), *traceback.format_exception(found[0])])


def test_the_version_says_nothing_of_the_password(tmp_path: Path) -> None:
    def version(url: str) -> str:
        settings = examine(tmp_path, change(valid_values(), URL, url))
        assert isinstance(settings, Settings)
        return settings.version

    assert version("redis://user:one@h") == version("redis://user:two@h")
    assert version("redis://user:one@h") != version("redis://other:one@h")


def test_a_password_file_is_for_a_redis_url_without_a_password(tmp_path: Path) -> None:
    def found(url: str) -> list[tuple[str, str]]:
        values = change(change(valid_values(), URL, url), ("store", "password_file"), "redis.password")
        return problems(tmp_path, values)

    assert found("sqlite:///a.db") == [("store.password_file", "is for a Redis store only")]
    assert found("memory:") == [("store.password_file", "is for a Redis store only")]
    assert found("redis://user:pw@h") == [("store.password_file", "store.url has a password as well")]
    assert found("redis://user@h") == []
    assert found("redis://h") == []


def test_a_password_file_counts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    values = change(change(valid_values(), URL, "redis://h"), ("store", "password_file"), "redis.password")
    for environ, name in (({}, "redis.password"), ({"TOKENSVC_STORE__PASSWORD_FILE": "other"}, "other")):
        settings = examine(tmp_path, values, **environ)
        assert isinstance(settings, Settings)
        assert settings.store.password_file == tmp_path / name


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2\n", "hunter2"),
        (b"hunter2", "hunter2"),
        (b" hunter 2 \n", " hunter 2 "),
        ("pé\n".encode(), "pé"),
        (b"", None),
        (b"\n", None),
        (b"hunter2\nhunter2\n", None),
        (b"hunter2\r\n", None),
        (b"hunter2\xff", None),
        (b"hunter2" * 1000, None),
    ],
)
def test_a_password_file_holds_one_line(tmp_path: Path, content: bytes, password: str | None) -> None:
    path = tmp_path / "redis.password"
    path.write_bytes(content)
    if password is not None:
        assert load_store_password(path) == password
        return
    with pytest.raises(ConfigurationError) as refused:
        load_store_password(path)
    assert refused.value.file == str(path)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value, chain=True)).replace(__file__, "")


def test_a_password_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        load_store_password(tmp_path / "redis.password")
    assert refused.value.file == str(tmp_path / "redis.password")
    (tmp_path / "redis.password").write_text("pw")
    assert load_store_password(tmp_path / "redis.password") == "pw"
