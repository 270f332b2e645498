"""Both stages as real processes, over real Kafka, Triton and Redis: the way of an event, end to end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderation.events import Decision, Reject, Status, Surface, Verdict
from moderation.evidence.version_1 import read_scored_event
from stream.kafka import Output, Record, produce_all, read_committed
from stream.parse import EVENT_HEADER
from stream.sandbox import Sandbox
from stream.sandbox.part import free_port
from stream.settings import Settings, TopicSettings, read_settings
from tests.evidence import is_cached
from tests.records import event_json, json_record, png, raw_record

pytestmark = pytest.mark.services

RED, GREEN, BLUE, GREY = (250, 0, 0), (0, 250, 0), (0, 0, 250), (20, 20, 20)
POLICY = """\
client: {client}
thresholds:
  violence: {{review: 0.30, block: {block}}}
  adult: {{review: 0.30, block: 0.60}}
"""
ANSWER_WITHIN_S = 180.0


class Deployment:
    """A `score` and a `decide` of their own on the shared servers, with topics of their own."""

    def __init__(self, sandbox: Sandbox, prefix: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.policies = folder / "policies"
        self.policies.mkdir()
        self.write_policy("strict", 0.60)
        self.write_policy("lenient", 0.99)
        names = {name: prefix + field.default for name, field in TopicSettings.model_fields.items()}
        variables = {
            **sandbox.environment,
            **{f"ADJUDICATE_TOPICS__{name.upper()}": topic for name, topic in names.items()},
            "ADJUDICATE_APPLICATION": prefix.rstrip("."),
            "ADJUDICATE_INSTANCE": "one",
            "ADJUDICATE_POLICIES": str(self.policies),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        self.settings: Settings = read_settings()
        self.topics = self.settings.topics
        sandbox.create_topics(self.topics.every(), 2)
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def write_policy(self, client: str, block: float) -> None:
        (self.policies / f"{client}.yaml").write_text(POLICY.format(client=client, block=block))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "stream", *command], stderr=log, env=dict(os.environ))
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    def stop_all(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def send(self, *records: Record) -> None:
        produce_all(
            self.settings.kafka,
            [Output(self.topics.creatives, r.key or b"", r.value or b"", dict(r.headers)) for r in records],
        )

    def wait_for(
        self, topics: list[str], count: int, matching: Callable[[Record], bool] = lambda _: True
    ) -> list[Record]:
        """At least `count` records of `topics`, and whatever else is there half a second later."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        found: list[Record] = []
        for record in read_committed(self.settings.kafka, topics, follow=True):
            if record is not None and matching(record):
                found.append(record)
            elif record is None and len(found) >= count:
                return found
            if time.monotonic() > deadline:
                break
        logs = {log.name: log.read_text()[-2000:] for log in self._folder.glob("*.log")}
        pytest.fail(f"{len(found)} of {count} records on {topics}; logs: {logs}")

    def decisions(self, count: int, matching: Callable[[Decision], bool] = lambda _: True) -> list[Decision]:
        topics = [self.topics.allow, self.topics.review, self.topics.block]
        records = self.wait_for(topics, count, lambda r: matching(Decision.model_validate_json(r.value or b"")))
        return [Decision.model_validate_json(record.value or b"") for record in records]


@pytest.fixture
def deployment(
    sandbox: Sandbox, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    made = Deployment(sandbox, topic_prefix, tmp_path, monkeypatch)
    yield made
    made.stop_all()


def verdicts(decisions: list[Decision]) -> dict[tuple[str, str], Verdict]:
    found = {(decision.event_id, decision.client): decision.verdict for decision in decisions}
    assert len(found) == len(decisions), "a decision is doubled"
    return found


def test_every_event_gets_one_decision_per_client_and_every_other_record_a_reject(deployment: Deployment) -> None:
    workers = [deployment.start("score"), deployment.start("decide")]
    deployment.send(
        json_record("red", png((180, 0, 0))),
        raw_record(png(GREEN), "green"),
        json_record("grey", png(GREY), clients=["strict"]),
        json_record("same-as-red", png((180, 0, 0))),
        json_record("text", b"no image at all"),
        json_record("stranger", png(GREY), clients=["nobody-knows"]),
        json_record("url", image={"url": "https://cdn.example/x.png?token=secret"}),
        Record("", 0, 0, None, b"{broken"),
        Record("", 0, 0, None, png(), {EVENT_HEADER: json.dumps({**event_json(), "surface": "wall"}).encode()}),
    )
    decided = deployment.decisions(12)
    assert verdicts(decided) == {
        ("red", "strict"): Verdict.BLOCK,
        ("red", "lenient"): Verdict.REVIEW,
        ("same-as-red", "strict"): Verdict.BLOCK,
        ("same-as-red", "lenient"): Verdict.REVIEW,
        ("green", "strict"): Verdict.BLOCK,
        ("green", "lenient"): Verdict.BLOCK,
        ("grey", "strict"): Verdict.ALLOW,
        ("text", "strict"): Verdict.REVIEW,
        ("text", "lenient"): Verdict.REVIEW,
        ("stranger", "nobody-knows"): Verdict.REVIEW,
        ("url", "strict"): Verdict.REVIEW,
        ("url", "lenient"): Verdict.REVIEW,
    }
    by_pair = {(decision.event_id, decision.client): decision for decision in decided}
    assert by_pair["text", "strict"].status is Status.DECODE_UNSUPPORTED
    assert by_pair["stranger", "nobody-knows"].reasons[0].rule == "unknown_client"
    deciding = by_pair["red", "strict"].reasons[0]
    assert (deciding.label, deciding.threshold) == ("violence", 0.6)
    assert by_pair["red", "strict"].surface is Surface.CREATIVE

    rejects = [Reject.model_validate_json(r.value or b"") for r in deployment.wait_for([deployment.topics.rejects], 2)]
    assert sorted(reject.reason for reject in rejects) == ["invalid_event", "not_json"]
    scores = deployment.wait_for([deployment.topics.scores], 7)
    assert not any(b"secret" in (record.value or b"") for record in scores)
    assert [deployment.stop(worker) for worker in workers] == [0, 0]


def test_scores_outlive_the_worker_in_redis(deployment: Deployment) -> None:
    first = deployment.start("score")
    deployment.send(json_record("a", png((181, 7, 9))))
    deployment.wait_for([deployment.topics.scores], 1)
    deployment.stop(first)
    deployment.start("score")
    deployment.send(json_record("b", png((181, 7, 9))))
    records = deployment.wait_for([deployment.topics.scores], 2)
    cached = {s.event_id: is_cached(s) for s in (read_scored_event(r.value or b"") for r in records)}
    assert cached == {"a": False, "b": True}


def test_policies_change_while_running_and_a_broken_one_raises_an_alarm(deployment: Deployment) -> None:
    deployment.start("score")
    deployment.start("decide")
    deployment.send(json_record("before", png((180, 0, 0)), clients=["strict"]))
    (before,) = deployment.decisions(1)

    (deployment.policies / "strict.yaml").write_text("client: strict\nthresholds: {violence: {block: 80}}\n")
    (alarm,) = deployment.wait_for([deployment.topics.policy_events], 1)
    assert b"strict" in (alarm.value or b"")
    assert b"80" in (alarm.value or b"")
    deployment.send(json_record("during", png((180, 0, 0)), clients=["strict"]))
    (during,) = deployment.decisions(1, lambda d: d.event_id == "during")
    assert before.policy is not None
    assert during.policy is not None
    assert during.policy.hash == before.policy.hash

    deployment.write_policy("strict", 0.95)
    verdict = _wait_for_verdict_of_new_policy(deployment, before.policy.hash)
    assert verdict is Verdict.REVIEW


def _wait_for_verdict_of_new_policy(deployment: Deployment, old_hash: str) -> Verdict:
    deadline = time.monotonic() + ANSWER_WITHIN_S
    for number in range(1000):
        name = f"after-{number}"
        deployment.send(json_record(name, png((180, 0, 0)), clients=["strict"]))
        (after,) = deployment.decisions(1, lambda d, name=name: d.event_id == name)  # type: ignore[misc]
        if after.policy is not None and after.policy.hash != old_hash:
            return after.verdict
        if time.monotonic() > deadline:
            break
    pytest.fail("the changed policy never decided")


def test_a_replay_decides_again_by_todays_policies_without_doubling(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = datetime.now(UTC)
    deployment.start("score")
    decide = deployment.start("decide")
    deployment.send(*(json_record(f"e{n}", png((180, n, 0)), clients=["strict", "lenient"]) for n in range(20)))
    live = deployment.decisions(40)
    deployment.stop(decide)

    deployment.write_policy("strict", 0.95)
    replay = [sys.executable, "-m", "stream", "decide", "--replay", since.strftime("%Y-%m-%dT%H:%M:%S")]
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        # The live worker's port: a replay that served metrics could not start.
        monkeypatch.setenv("ADJUDICATE_WORKER__METRICS_PORT", str(port))
        first, second = (
            subprocess.run(replay, check=True, timeout=90, capture_output=True, text=True).stdout for _ in range(2)
        )
    changed = sum(decision.verdict is not Verdict.REVIEW for decision in live)
    assert first == f"20 events decided again: 40 decisions, {changed} changed\n"
    assert second.startswith("0 events decided again: 0 decisions, 0 changed; a replay since ")
    again = deployment.decisions(40, lambda decision: decision.redecision)
    assert len(again) == 40
    assert {d.verdict for d in again} == {Verdict.REVIEW}
    ids = {(d.event_id, d.client): d.decision_id for d in live}
    unchanged = [d for d in again if d.client == "lenient"]
    assert all(ids[d.event_id, d.client] == d.decision_id for d in unchanged)
    assert not any(ids[d.event_id, d.client] == d.decision_id for d in again if d.client == "strict")

    same_clock_an_hour_earlier = since.strftime("%Y-%m-%dT%H:%M:%S+01:00")
    subprocess.run([*replay[:-1], same_clock_an_hour_earlier], check=True, timeout=90)
    assert len(deployment.decisions(80, lambda decision: decision.redecision)) == 80


def test_a_broken_policy_at_the_start_stops_the_worker_and_names_the_place(deployment: Deployment) -> None:
    (deployment.policies / "strict.yaml").write_text("client: strict\nthresholds: {violense: {block: 0.8}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "stream", "decide"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "strict.yaml:2" in done.stderr
    assert "violence" in done.stderr
