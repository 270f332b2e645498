"""Workers whose topics are missing or whose brokers are away, as a supervisor sees them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream.sandbox import Sandbox
from stream.sandbox.part import free_port
from tests.services.test_stages import Deployment

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("command", "name"),
    [("score", "creatives"), ("score", "scores"), ("score", "rejects"), ("decide", "scores"), ("decide", "shadow")],
)
def test_a_missing_topic_is_one_line_and_exit_code_2(
    command: str, name: str, sandbox: Sandbox, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing output topic was tried for ever."""
    Deployment(sandbox, topic_prefix, tmp_path, monkeypatch)
    monkeypatch.setenv(f"ADJUDICATE_TOPICS__{name.upper()}", "no-such-topic")
    ended = subprocess.run(
        [sys.executable, "-m", "stream", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        f"adjudicate: topics.{name} (ADJUDICATE_TOPICS__{name.upper()}) is 'no-such-topic': the brokers at "
        f"{sandbox.bootstrap_servers} have no such topic; create it, or name the right one"
    )


def test_brokers_that_are_away_are_named_at_once_and_waited_for(
    sandbox: Sandbox, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, nowhere = Deployment(sandbox, topic_prefix, tmp_path, monkeypatch), f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS", nowhere)
    log, told = tmp_path / "score.log", f"no broker answers at {nowhere} (kafka.bootstrap_servers)"
    worker = deployment.start("score")
    try:
        deadline = time.monotonic() + 120
        while told not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    finally:
        deployment.stop_all()
