"""What logs say, and what they must not."""

import io
import json

import pytest
import structlog

from stream.logs import configure_logs


def test_a_traceback_names_places_but_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    configure_logs("info")
    try:
        _fail_on("uid-4711")
    except ValueError:
        structlog.get_logger().exception("stage failed")
    finally:
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert "uid-4711" not in line
    entry = json.loads(line)
    assert entry["event"] == "stage failed"
    assert [frame["name"] for frame in entry["exception"][0]["frames"]][-1] == "_fail_on"


def _fail_on(event: str) -> None:
    raise ValueError(f"an event of {len(event)} characters")


def test_logging_outlives_the_stream_that_was_there_when_it_was_configured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = io.StringIO()
    monkeypatch.setattr("sys.stderr", closed)
    configure_logs("info")
    log = structlog.get_logger()
    monkeypatch.undo()
    closed.close()
    try:
        log.warning("still here")
    finally:
        structlog.reset_defaults()
    assert "still here" in capsys.readouterr().err
