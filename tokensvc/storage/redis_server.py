"""What is demanded of a Redis server before it may keep the state, and what is doubtful about it. Pure.

Redis is a cache by habit. A server that drops keys when its memory is full forgets revocations and used values one by
one, which nobody notices; so that is refused. One that may lose the last seconds, or everything, at a crash is allowed
with a warning: that loss is noticed (`storage.loss`), and costs everybody a new start.
"""

from collections.abc import Mapping
from typing import Final

from tokensvc.errors import ConfigurationError

__all__ = ["doubts_about", "parse_info", "require_usable"]

# Exclusive ranges of streams; 6.2 is also the oldest that distributions still carry.
_OLDEST: Final = (6, 2)


def parse_info(text: str) -> dict[str, str]:
    """The fields of an INFO reply."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def require_usable(info: Mapping[str, str], place: str) -> None:
    """Return when the state may be kept in this server. What `info` does not tell is not judged.

    Raises: ConfigurationError naming the setting of Redis and the remedy.
    """
    version = info.get("redis_version", "")
    if version and _parse_version(version) < _OLDEST:
        raise _refused(place, "redis_version", f"the Redis server is version {version}", "Run Redis 6.2 or newer.")
    if info.get("redis_mode", "standalone") == "cluster":
        raise _refused(
            place,
            "cluster-enabled",
            "the Redis server is a node of a cluster, which may move or lose part of the state",
            "Name a server with cluster-enabled no: the state of a token service fits into one.",
        )
    if info.get("role", "master") != "master":
        raise _refused(
            place, "replicaof", "the Redis server is a replica, which cannot be written to", "Name its primary."
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        # Also without maxmemory: whoever sets a limit later would begin the forgetting, with nobody there to look.
        raise _refused(
            place,
            "maxmemory-policy",
            f"the Redis server drops keys when its memory is full ({policy})",
            "Set maxmemory-policy noeviction: a full memory is then a 503, not a forgotten revocation.",
        )


def doubts_about(info: Mapping[str, str], config: Mapping[str, str] | None) -> list[str]:
    """What an operator should know. `config` is None where CONFIG may not be asked."""
    doubts = []
    if not info:
        doubts.append("INFO is not allowed to this user: version, role and maxmemory-policy could not be checked")
    has_log = info.get("aof_enabled") == "1"
    if config is None:
        doubts.append("CONFIG is not allowed to this user: save and appendfsync could not be checked")
    elif has_log and config.get("appendfsync") == "no":
        doubts.append("appendfsync is no: a power cut loses what the system had not written yet, often half a minute")
    elif not has_log and config.get("save"):
        doubts.append("appendonly is no: a crash loses everything since the last snapshot. Set appendonly yes")
    elif not has_log:
        doubts.append("nothing is written to disk: a restart of Redis loses everything. Set appendonly yes")
    return doubts


def _parse_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split("."))


def _refused(place: str, key: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, file=place, key=key, remedy=remedy)
