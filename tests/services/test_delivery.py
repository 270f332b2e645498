"""Exactly one decision, the quick part: real workers, killed and stopped under load; then `adjudicate verify`.

Every fault, on three brokers: `make faults`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stream.kafka import produce_all
from stream.sandbox import Sandbox
from stream.verify import judge
from tests.faults.delivery import kill_and_stop
from tests.faults.evidence import FOLDER_VARIABLE
from tests.faults.load import Events
from tests.faults.run import Run
from tests.faults.stack import Stack

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

IGNORING = ["sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh"]
"""Starts a command with both signals ignored, as some shells do."""
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
    stopped = kill_and_stop(run)
    assert stopped.code == 0
    assert stopped.took_s < 10
    run.judged(stopped.at, stopped.load)
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
            [*IGNORING, *ADJUDICATE, name, "--settings", str(run.settings_file)],
            stderr=log, stdout=log, env=os.environ | {"ADJUDICATE_INSTANCE": f"plain-{run.name}"},
        )
        for name, log in zip(("score", "decide"), logs, strict=True)
    ]  # fmt: skip
    try:
        events = iter(Events(run.settings, "plain-"))
        produce_all(run.settings.kafka, [next(events) for _ in range(200)])
        code, report = verify(run, "--policies", str(run.policies), "--wait", "90")
        for worker, number in zip(workers, (signal.SIGINT, signal.SIGTERM), strict=True):
            worker.send_signal(number)
        codes = [worker.wait(15) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for log in logs:
            log.close()
    assert (code, report["ok"]) == (0, True)
    assert codes == [0, 0]


def test_what_explains_a_failure_is_kept_in_one_folder(
    run: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("evidence")))
    run.workers(scorers=1, deciders=1)
    with run.load() as load:
        pass
    outcome = run.judged(0.0, load)
    topics, group = run.settings.topics, run.group("score")
    lost, *rest = outcome.history.decided
    doubled = rest[0]
    outcome.history.decided[doubled] += 1
    del outcome.history.decided[lost]
    monkeypatch.setattr(run, "outcome", lambda *_, **__: replace(outcome, findings=judge(outcome.history)))
    with pytest.raises(AssertionError, match="evidence: ") as failure:
        run.judged(0.0, load)
    text = str(failure.value)
    assert text.startswith(f"missing: 1; first event_id={lost[0]}")
    assert "may be late only" in text
    assert f"doubled: 1; first event_id={doubled[0]}" in text
    folder = Path(text.rsplit("evidence: ", 1)[1])
    assert "reading on" in (folder / "workers" / "s0.log").read_text()
    assert (folder / "kafka-broker-1.log").is_file()
    groups = json.loads((folder / "groups.json").read_text())
    assert '{"begun": 4, ' in groups[group]["stable offsets"][f"{topics.pages}/0"]
    assert json.loads((folder / "ends.json").read_text())[f"{topics.scores}/0"]["end"] > 0
    # Whether or not the first commit already answers records, it carries the claim.
    commits = (folder / "commits.txt").read_text().splitlines()
    first = next(line for line in commits if f"{group} {topics.pages}/0 -> " in line)
    assert '{"begun": 4, ' in first
