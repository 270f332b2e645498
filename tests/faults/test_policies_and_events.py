"""Policies that are wrong, half written or raise; events from strangers."""

import itertools
import json
import time
from collections.abc import Iterator

import pytest

from stream.history import clients_by_policies
from stream.kafka import Output, produce_all
from stream.parse import EVENT_HEADER
from tests import malformed
from tests.faults.load import BAD_IMAGES, BAD_VALUES
from tests.faults.run import Run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_policies_reloaded_and_broken_under_load(run: Run) -> None:
    acme = run.policies / "acme.yaml"
    with run.load() as load:
        for broken in ("client: acme\nversio", "", "client: acme\nversion: '2'\nsuitability: nonsense\n", "a: &a [*a]"):
            acme.write_text(broken)
            time.sleep(1.0)
            run.write_policy("bolt", version=str(time.monotonic()))
            time.sleep(1.0)
        run.write_policy("acme", version="3", suitability="low")
        repaired = time.monotonic()
        time.sleep(2)
        run.await_decisions()
    run.judged(repaired, load)
    assert len(run.watch.policy_hashes["acme"]) == 2
    assert len(run.watch.policy_hashes["bolt"]) > 2
    assert "policy file refused" in run.supervisor.log("d0")


def test_policy_code_that_raises_costs_only_its_own_events(run: Run) -> None:
    run.supervisor.remove("d0")
    run.supervisor.add("d0", "decide", "raise_in_policy", lives=99)
    with run.load() as load:
        time.sleep(5)
        run.await_decisions()
        moment = time.monotonic()
    outcome = run.judged(moment, load)
    assert outcome.history.rejected_scores
    assert all(event_id.endswith("7") for event_id in outcome.history.rejected_scores)


@pytest.mark.timeout(3600)
def test_every_malformed_record_gets_one_answer_and_ends_no_worker(run: Run) -> None:
    """`ADJUDICATE_TEST_MALFORMED=10000` sends ten thousand events and ten thousand images, on top of good ones."""
    with run.load() as load:
        began = time.monotonic()
        produce_all(run.settings.kafka, itertools.chain(_malformed_events(run), _malformed_images(run)))
        sent = time.monotonic()
        run.await_decisions()
    outcome = run.judged(sent, load, clients=clients_by_policies(run.loaded_policies()), wait_s=1800)
    print(f"{2 * malformed.COUNT} malformed events, {malformed.COUNT} malformed images, {load.sent} of the usual mix")
    print(f"{outcome.history.rejected.total()} rejects; decisions by status: {dict(run.watch.statuses)}")
    assert outcome.history.rejected.total() > malformed.COUNT
    assert [exit_ for exit_ in run.supervisor.exits if exit_.at > began] == []


def _malformed_events(run: Run) -> Iterator[Output]:
    for number in range(malformed.COUNT):
        yield malformed.event(number, run.settings.topics.pages, f"{run.name}-malformed-{number}")
        yield Output(run.settings.topics.pages, str(number).encode(), BAD_VALUES[number % len(BAD_VALUES)])  # type: ignore[arg-type]


def _malformed_images(run: Run) -> Iterator[Output]:
    for number in range(malformed.COUNT):
        image = BAD_IMAGES[number % len(BAD_IMAGES)] if number % 10 == 0 else malformed.image(number)
        event = {"event_id": f"{run.name}-damaged-{number}", "surface": "creative"}
        yield Output(
            run.settings.topics.creatives, str(number).encode(), image, {EVENT_HEADER: json.dumps(event).encode()}
        )
