"""Any script of calls is answered by every store as the memory store answers it."""

from hypothesis import strategies as st

from tests.storage.conformance import NOW, record, revocation
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.ports import OneTimeValue, Store

__all__ = ["Script", "play", "scripts"]

Script = list[tuple[str, list[str], list[tuple[str, int | None]], int]]

scripts: st.SearchStrategy[Script] = st.lists(
    st.tuples(
        st.sampled_from(["claim", "commit", "note", "revoke", "ask", "append", "find", "list"]),
        st.lists(st.sampled_from("abcd"), max_size=3),
        st.lists(st.tuples(st.sampled_from("xy"), st.none() | st.integers(NOW, NOW + 9)), max_size=2),
        st.integers(0, 5),
    ),
    max_size=25,
)


async def play(store: Store, script: Script) -> list[object]:
    """What the store answers, step by step; it is opened and closed."""
    await store.open()
    answers: list[object] = []
    for step, (what, values, named, number) in enumerate(script):
        users = tuple(Revocable(kind=RevocationKind.USER, id=name, iat=iat or NOW) for name, iat in named)
        # Ids repeat now and then; time moves past the `until` of earlier claims; some values are older than the store.
        kept, now = record(f"r{number * step % 7}", client_id=str(step)), NOW + step
        note = None if number % 2 else f"note-{step % 2}"
        claims = tuple(
            OneTimeValue(value=value, until=now + number, made=NOW - number // 5, note=note, repeatable=number % 4 < 2)
            for value in values
        )
        revocations = tuple(revocation(name, RevocationKind.USER, not_before=when) for name, when in named)
        try:
            match what:
                case "claim":
                    answers.append(await store.claim(claims, now=now))
                case "commit":
                    answers.append(await store.commit(claims=claims, unless_revoked=users, record=kept, now=now))
                case "note":
                    answers.append([await store.note_of(value) for value in values])
                case "revoke":
                    answers.append(await store.revoke(revocations=revocations, record=kept))  # type: ignore[func-returns-value] # None is the answer
                case "ask":
                    answers.append(await store.is_revoked(users))
                case "append":
                    answers.append(await store.append(kept))  # type: ignore[func-returns-value] # the same
                case "list":
                    listed = await store.list_records(after=None, limit=number + 1, newest=bool(values))
                    answers.append([each.record for each in listed])
                case _:
                    answers.append(await store.find(kept.id))
        except ValueError:
            answers.append(ValueError)
    await store.close()
    return answers
