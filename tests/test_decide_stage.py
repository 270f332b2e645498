"""The deciding stage without a broker: records in, decisions out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from moderation.policy import load
from stream.decide import DecideStage
from stream.settings import Settings
from tests.policy.making import event, write
from tests.records import record


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[DecideStage]:
    policies = load(write(tmp_path, acme="client: acme\n"))
    made = DecideStage(Settings(), lambda: policies)
    yield made
    made.close()


def verdict_series() -> set[str]:
    counted = next(family for family in REGISTRY.collect() if family.name == "adjudicate_verdicts")
    return {sample.labels["client"] for sample in counted.samples}


def test_every_named_client_gets_its_decision_and_what_is_no_event_a_reject(stage: DecideStage) -> None:
    good = record(event(clients=("acme", "stranger")).model_dump_json().encode())
    decided, (reject,) = stage.submit([good, record(b"{")]).result(10)
    assert [(output.topic, output.headers["client"]) for output in decided] == [
        ("decisions.allow", b"acme"),
        ("decisions.review", b"stranger"),
    ]
    assert reject.topic == "rejects"


def test_names_that_nobody_knows_make_no_new_series(stage: DecideStage) -> None:
    strangers = tuple(f"stranger-{n}" for n in range(100))
    stage.submit([record(event(clients=("acme", *strangers)).model_dump_json().encode())]).result(10)
    assert {"acme", ""} <= verdict_series()
    assert not any(name.startswith("stranger") for name in verdict_series())


def test_what_would_be_too_much_to_hold_is_left_for_the_next_call(stage: DecideStage) -> None:
    """A thousand clients and sixteen kilobytes of context in each of 64 events would be a gigabyte of decisions."""
    clients = tuple(f"stranger-{n}" for n in range(1000))
    context = {"cat": ["x" * 4000] * 4}
    greedy = event(clients=clients, context=context).model_dump_json().encode()
    answers = stage.submit([record(b"{"), *[record(greedy)] * 10]).result(60)
    assert 1 <= len(answers) < 5
    assert sum(len(output.value) for outputs in answers for output in outputs) < 64e6
    assert len(stage.submit([record(greedy)] * 2).result(60)) == 1


def test_keys_are_what_the_events_page_says(stage: DecideStage) -> None:
    """Of one event and client, whatever the key of the record and the creative."""
    same = [event(event_id=name, context={"crid": "c1"}).model_dump_json().encode() for name in ("a", "b", "a")]
    keys = [outputs[0].key for outputs in stage.submit([record(each) for each in same]).result(10)]
    assert keys == [b"acme:a", b"acme:b", b"acme:a"]
