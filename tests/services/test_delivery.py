"""Exactly one decision, the quick part: real workers, killed and stopped under load; then `adjudicate verify`.

Every fault, on three brokers: `make faults`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.kafka import produce_all
from stream.sandbox import Sandbox
from tests.faults.load import Events
from tests.faults.run import Run
from tests.faults.stack import Stack

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

ADJUDICATE = [sys.executable, "-c", "from stream.cli import main; main()"]


@pytest.fixture
def run(sandbox: Sandbox, tiny_faults: Path, tmp_path: Path) -> Iterator[Run]:
    with Run(Stack(sandbox, tiny_faults), tmp_path) as run:
        yield run


def verify(run: Run, *options: str) -> tuple[int, dict[str, object]]:
    topics = run.settings.topics
    command = [*ADJUDICATE, "verify", "--settings", str(run.settings_file), "--scores", topics.scores, "--json"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def test_nothing_is_lost_or_doubled_whatever_dies(run: Run) -> None:
    run.workers(scorers=2, deciders=1)
    with run.load(per_s=60) as load:
        run.supervisor.hurt("s0", signal.SIGKILL)
        run.await_decisions()
        run.supervisor.hurt("d0", signal.SIGKILL)
        run.await_decisions()
        started = time.monotonic()
        code = run.supervisor.remove("s1", signal.SIGTERM)
        stopped_in_s = time.monotonic() - started
        run.await_decisions()
    assert code == 0
    assert stopped_in_s < 10
    run.judged(started, load)
    code, report = verify(run, "--policies", str(run.policies))
    assert (code, report["ok"]) == (0, True)
    # And the checker is not blind: without its decisions every event is missing.
    code, report = verify(run, "--output", run.settings.topics.shadow)
    assert (code, report["ok"]) == (1, False)
    assert report["unanswered"]


def test_the_command_itself_scores_decides_and_stops(run: Run) -> None:
    """No test code in the processes: what a user starts."""
    logs = [(run.directory / f"{name}.txt").open("wb") for name in ("score", "decide")]
    workers = [
        subprocess.Popen(
            [*ADJUDICATE, name, "--settings", str(run.settings_file)],
            stderr=log, stdout=log, env=os.environ | {"ADJUDICATE_INSTANCE": f"plain-{run.name}"},
        )
        for name, log in zip(("score", "decide"), logs, strict=True)
    ]  # fmt: skip
    try:
        events = iter(Events(run.settings, "plain-"))
        produce_all(run.settings.kafka, [next(events) for _ in range(200)])
        code, report = verify(run, "--policies", str(run.policies), "--wait", "90")
    finally:
        for worker in workers:
            worker.terminate()
        codes = [worker.wait(15) for worker in workers]
        for log in logs:
            log.close()
    assert (code, report["ok"]) == (0, True)
    assert codes == [0, 0]
