"""The ledger: exactly one decision per event and client, however they arrive."""

import base64

import pytest

from moderation.events import Reject, Status, Verdict
from stream.demo.ledger import Ledger, rejected_event
from tests.demo.decisions import NOW, decision


def reject(original: bytes) -> Reject:
    return Reject(
        topic="creatives", partition=0, offset=1, stage="score", reason="not_json", detail="",
        original_base64=base64.b64encode(original).decode(), original_size=len(original), rejected_at=NOW,
    )  # fmt: skip


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.expect("a.png", ("family", "games"))
    ledger.expect("b.png", ("unknown",))
    return ledger


def test_it_is_settled_when_every_client_has_decided(ledger: Ledger) -> None:
    for event, client in (("a.png", "family"), ("b.png", "unknown")):
        ledger.record_decision(decision(event, client, Verdict.ALLOW))
        assert not ledger.is_settled
    assert ledger.missing() == ["a.png (games)"]
    ledger.record_decision(decision("a.png", "games", Verdict.BLOCK))
    assert ledger.is_exact
    assert (ledger.sent, ledger.decided) == (2, 3)
    assert ledger.verdicts["games", Verdict.BLOCK] == 1
    assert ledger.statuses == {Status.OK: 2}


def test_a_second_decision_is_never_exact(ledger: Ledger) -> None:
    for event, client in (("a.png", "family"), ("a.png", "games"), ("b.png", "unknown"), ("a.png", "games")):
        ledger.record_decision(decision(event, client, Verdict.ALLOW))
    assert ledger.doubled == [("a.png", "games")]
    assert ledger.is_settled
    assert not ledger.is_exact
    assert ledger.decided == 3


def test_a_decision_nobody_asked_for_is_never_exact(ledger: Ledger) -> None:
    for event, client in (("a.png", "family"), ("a.png", "games"), ("b.png", "unknown"), ("b.png", "games")):
        ledger.record_decision(decision(event, client, Verdict.ALLOW))
    assert ledger.unexpected == [("b.png", "games")]
    assert not ledger.is_exact


def test_a_reject_that_names_its_event_settles_it(ledger: Ledger) -> None:
    ledger.record_reject(reject(b"{}"), b'{"event_id": "a.png"}')
    assert ledger.events_left == 1
    ledger.record_decision(decision("b.png", "unknown", Verdict.REVIEW))
    assert ledger.is_exact


def test_a_reject_without_a_name_settles_one_event_or_stray_record() -> None:
    ledger = Ledger(stray_records=1)
    ledger.expect("a.png", ("family",))
    ledger.record_decision(decision("a.png", "family", Verdict.ALLOW))
    assert not ledger.is_settled
    ledger.record_reject(reject(b"\xff\xd8"), b"\xff\xd8")
    assert ledger.is_exact


@pytest.mark.parametrize("original", [b"", b"\xff", b"[1]", b'{"event_id": 5}', b'{"event_id"'])
def test_a_record_that_names_no_event(original: bytes) -> None:
    assert rejected_event(original) is None


def test_an_event_that_concerns_nobody_is_settled_at_once() -> None:
    ledger = Ledger()
    ledger.expect("a.png", ())
    assert ledger.is_exact
    assert ledger.sent == 1
