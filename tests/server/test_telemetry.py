"""The log: lines for a machine, nothing that a stranger could smuggle in, and no harm when it cannot be written."""

import io
import json
import sys

import pytest

from tokensvc.errors import Unavailable
from tokensvc.telemetry import Telemetry, place_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class BrokenPipe(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_each_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    telemetry = Telemetry(stream)

    telemetry.started(issuer="https://tokens.example", configuration="abc", signing_kid="kid")
    telemetry.stopped()

    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["started", "stopped"]
    assert all(event["level"] == "info" and event["timestamp"].endswith("Z") for event in events)


def test_a_line_is_one_write_so_that_processes_that_share_the_stream_do_not_mix_theirs() -> None:
    class Counted(io.StringIO):
        writes: list[str] = []  # noqa: RUF012 - one stream

        def write(self, text: str) -> int:
            self.writes.append(text)
            return super().write(text)

    stream = Counted()
    Telemetry(stream, worker=7).stopped()

    assert stream.writes == [stream.getvalue()]
    assert json.loads(stream.getvalue())["worker"] == 7


def test_at_a_terminal_events_are_for_people() -> None:
    stream = Terminal()

    Telemetry(stream).unavailable(Unavailable("disk full"))

    assert "disk full" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_without_a_stream_events_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry().stopped()

    captured = capsys.readouterr()
    assert (captured.out, json.loads(captured.err)["event"]) == ("", "stopped")


def test_what_a_stranger_chose_is_escaped_and_cut() -> None:
    stream = io.StringIO()

    Telemetry(stream).client_failed(client_id="a\n{\x1b[31m\u202e" + "x" * 1000, is_registered=True)

    (line,) = stream.getvalue().splitlines()
    shown = json.loads(line)["client_id"]
    assert shown.startswith("a?{?[31m?xxx")
    assert shown.endswith("...")
    assert len(shown) < 310


@pytest.mark.parametrize("stream", [BrokenPipe(), io.StringIO()])
def test_a_log_that_cannot_be_written_stops_nothing(stream: io.StringIO) -> None:
    telemetry = Telemetry(stream)
    stream.close()

    telemetry.client_failed(client_id=None, is_registered=False)

    assert telemetry.client_failures == 1


def test_a_fault_is_placed_by_the_innermost_code_of_ours() -> None:
    try:
        Unavailable(object())  # type: ignore[arg-type]
    except TypeError:
        place = place_of(sys.exc_info()[2])
    else:
        place = None

    assert place is not None
    assert place.startswith("tokensvc.errors:")
    assert place_of(None) is None
