"""Brokers, coordinators and replicas that go, and records that brokers do not take."""

import json
import secrets
import time

import pytest

from moderation.events import ScoredEvent
from stream.kafka import Output, Sink, produce_all
from stream.sandbox.part import Part
from tests.faults.load import CLIENTS
from tests.faults.run import Run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.mark.parametrize("stage", ["score", "decide"])
def test_the_transaction_coordinator_dies(run: Run, stage: str) -> None:
    with run.load() as load:
        broker = run.stack.transaction_coordinator(f"{run.group(stage)}-{stage[0]}0")
        broker.kill()
        killed = time.monotonic()
        time.sleep(10)
        broker.restart()
        run.await_decisions()
    run.judged(killed, load)


def test_the_group_coordinator_dies(run: Run) -> None:
    with run.load() as load:
        broker = run.stack.group_coordinator(run.group("score"))
        broker.kill()
        killed = time.monotonic()
        time.sleep(10)
        broker.restart()
        run.await_decisions()
    run.judged(killed, load)


def test_a_group_coordinator_that_moves_ends_no_worker(run: Run) -> None:
    """Brokers hand leadership back to where it was some minutes after a restart, coordinators with it."""
    run.stack.elect_preferred_leaders()
    home = run.stack.group_coordinator(run.group("score"))
    home.kill()
    time.sleep(2)
    home.restart()
    with run.load() as load:
        time.sleep(5)
        run.await_decisions()
        assert run.stack.group_coordinator(run.group("score")) is not home
        moved = _handed_back(run, home)
        time.sleep(2 * run.settings.kafka.session_timeout_s)
        run.await_decisions()
    run.judged(moved, load)
    assert [exit_ for exit_ in run.supervisor.exits if exit_.at > moved] == []


def _handed_back(run: Run, home: Part) -> float:
    """When the coordinator was back: its replica may have to catch up before it can be elected."""
    for _ in range(30):
        moved = time.monotonic()
        run.stack.elect_preferred_leaders()
        if run.stack.group_coordinator(run.group("score")) is home:
            return moved
        time.sleep(1)
    raise AssertionError("the coordinator did not move back")


def test_too_few_replicas_in_sync(run: Run) -> None:
    """The brokers refuse to write until there are enough again."""
    topics = run.settings.topics
    with run.load() as load:
        for topic in (topics.scores, topics.allow):
            run.stack.configure_topic(topic, min_insync_replicas="3")
        run.stack.sandbox.kafka[2].kill()
        time.sleep(12)
        run.stack.sandbox.kafka[2].restart()
        healed = time.monotonic()
        run.await_decisions()
    run.judged(healed, load)
    for topic in (topics.scores, topics.allow):
        run.stack.configure_topic(topic, min_insync_replicas="2")


def test_two_of_three_brokers_die(run: Run) -> None:
    with run.load() as load:
        for broker in run.stack.sandbox.kafka[:2]:
            broker.kill()
        time.sleep(10)
        for broker in run.stack.sandbox.kafka[:2]:
            broker.start()
        for broker in run.stack.sandbox.kafka[:2]:
            broker.wait_ready()
        healed = time.monotonic()
        run.await_decisions()
    run.judged(healed, load)


def test_a_decision_too_large_for_its_topic_costs_only_its_own_event(run: Run) -> None:
    topics = run.settings.topics
    fat = {"event_id": "fat", "surface": "page", "clients": ["acme"], "image": {"base64": "AAAA"},
           "context": {"cat": [secrets.token_hex(2000) for _ in range(4)]}}  # fmt: skip
    with run.load() as load:
        for topic in (topics.allow, topics.review, topics.block):
            run.stack.configure_topic(topic, max_message_bytes="12000")
        produce_all(run.settings.kafka, [Output(topics.pages, b"fat", json.dumps(fat).encode())])
        time.sleep(5)
        run.await_decisions()
        moment = time.monotonic()
    outcome = run.judged(moment, load)
    assert outcome.history.rejected_scores == {"fat": 1}
    for topic in (topics.allow, topics.review, topics.block):
        run.stack.configure_topic(topic, max_message_bytes="1048588")


def test_what_an_upstream_transaction_aborted_is_never_decided(run: Run) -> None:
    def ghost(number: int) -> Output:
        event = ScoredEvent.model_validate(
            {"event_id": f"ghost-{number}", "surface": "page", "clients": CLIENTS, "status": "TIMEOUT", "evidence": [],
             "scored_at": "2026-01-01T00:00:00Z"}
        )  # fmt: skip
        return Output(run.settings.topics.scores, b"ghost", event.model_dump_json().encode())

    with run.load() as load:
        sink = Sink(run.settings.kafka, transactional_id=f"upstream-{run.name}")
        for transaction in range(5):
            sink.begin()
            for number in range(20):
                sink.send(ghost(transaction * 20 + number), None, alone=True)
            time.sleep(0.5)
            sink.abort()
        sink.discard()
        aborted = time.monotonic()
        run.await_decisions()
    outcome = run.judged(aborted, load)
    assert not [event_id for event_id, _ in outcome.history.decided if event_id.startswith("ghost")]
