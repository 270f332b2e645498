"""Policies that are wrong, half written or raise; events from strangers."""

import time

import pytest

from stream.history import clients_by_policies
from stream.kafka import Output, produce_all
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


def test_a_thousand_malformed_records_get_a_thousand_answers(run: Run) -> None:
    topics = run.settings.topics
    with run.load() as load:
        bad = [Output(topics.pages, b"bad", value) for value in BAD_VALUES * 60]  # type: ignore[arg-type]
        images = [
            Output(topics.creatives, b"img", image, {"adjudicate-event": _event(f"{run.name}-bad-{n}-{i}")})
            for n in range(100)
            for i, image in enumerate(BAD_IMAGES)
        ]
        produce_all(run.settings.kafka, [*bad, *images])
        sent = time.monotonic()
        run.await_decisions()
    outcome = run.judged(sent, load, clients=clients_by_policies(run.loaded_policies()))
    assert outcome.history.rejected.total() >= len(bad)
    assert run.supervisor.exits == [] or all(exit_.at < sent for exit_ in run.supervisor.exits)


def _event(event_id: str) -> bytes:
    return f'{{"event_id": "{event_id}", "surface": "creative"}}'.encode()
