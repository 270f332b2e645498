"""`adjudicate score` over a model server whose answers cannot be read: it waits, says so, and stops when told."""

import re
import time
import urllib.request
from pathlib import Path

import pytest

from moderation.events import ScoredEvent, Status
from stream.sandbox import Sandbox
from stream.sandbox.part import free_port
from tests.records import json_record, png
from tests.services.test_stages import Deployment
from tests.unreadable_model import UNREADABLE, serving, well

pytestmark = pytest.mark.services

WITHIN_S = 180.0


def waiting(port: int) -> float | None:
    """`adjudicate_waiting` of the scorer; None while it serves no metrics."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            found = re.search(rb'^adjudicate_waiting\{stage="score"\} (\S+)$', answer.read(), re.MULTILINE)
            return float(found[1]) if found else None
    except OSError:
        return None


def await_waiting(port: int, log: Path) -> None:
    """Until the log names the cause and the metric says so. It says so too while a worker starts: the log is first."""
    deadline = time.monotonic() + WITHIN_S
    while "cannot be read" not in log.read_text() or waiting(port) != 1.0:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_the_scorer_waits_says_so_and_stops_in_time(
    sandbox: Sandbox, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, port = Deployment(sandbox, topic_prefix, tmp_path, monkeypatch), free_port()
    monkeypatch.setenv("ADJUDICATE_WORKER__METRICS_PORT", str(port))
    monkeypatch.setenv("ADJUDICATE_WORKER__STOP_WITHIN_S", "4")
    with serving() as (model, address):
        monkeypatch.setenv("ADJUDICATE_TRITON__URL", address)
        model.answer = UNREADABLE["empty contents"]
        try:
            scorer = deployment.start("score")
            deployment.send(json_record("a", png()))
            await_waiting(port, tmp_path / "score.log")
            started = time.monotonic()
            assert deployment.stop(scorer) == 0
            assert time.monotonic() - started < 10
            model.answer = well
            deployment.start("score")
            (record,) = deployment.wait_for([deployment.topics.scores], 1)
            assert ScoredEvent.model_validate_json(record.value or b"").status is Status.OK
        finally:
            deployment.stop_all()
