"""The history checker, on histories with planted faults: it must find these and nothing else."""

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.events import Decision, PolicyStamp, Surface, Verdict, decision_id
from moderation.events import Status as EventStatus
from stream.cli import verify as verify_commands
from stream.history import Asked, History, Topics, asked, clients_by_history, note_outputs
from stream.kafka import Record
from stream.rejects import reject_output
from stream.verify import Contradiction, Findings, Miscount, judge
from tests.records import event_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOPICS = Topics(["creatives"], ["decisions.allow", "decisions.block"], "rejects", "scores")
CLIENTS = frozenset({"acme", "bolt"})


def decision(event_id: str, client: str, verdict: Verdict = Verdict.ALLOW, **fields: Any) -> Decision:
    return Decision(
        decision_id=decision_id(event_id, client, "h1"), event_id=event_id, client=client, surface=Surface.CREATIVE,
        verdict=verdict, reasons=(), status=EventStatus.OK, policy=PolicyStamp(client=client, version="1", hash="h1"),
        scored_at=NOW, decided_at=NOW, **fields,
    )  # fmt: skip


def history_of(events: int, unparsable: int = 0) -> History:
    """Every event decided once for both clients, every unparsable record rejected once."""
    history = History(scored=Counter())
    for number in range(events):
        history.asked.append(Asked(("creatives", 0, number), f"e{number}", CLIENTS))
        history.scored[f"e{number}"] += 1  # type: ignore[index]
        for client in CLIENTS:
            history.decide(decision(f"e{number}", client))
    for number in range(events, events + unparsable):
        history.asked.append(Asked(("creatives", 0, number), None))
        history.reject(("creatives", 0, number), "not_json")
    return history


def test_a_kept_promise_has_no_findings() -> None:
    findings = judge(history_of(3, 2))
    assert findings == Findings()
    assert findings.are_none


def test_a_missing_decision_is_named() -> None:
    history = history_of(2)
    history.decided["e1", "acme"] -= 1
    assert judge(history).missing == (Miscount("e1", "acme", 1, 0),)


def test_a_doubled_decision_is_named() -> None:
    history = history_of(2)
    history.decide(decision("e0", "bolt"))
    assert judge(history) == Findings(doubled=(Miscount("e0", "bolt", 1, 2),))


def test_two_verdicts_under_one_policy_contradict() -> None:
    history = history_of(1)
    history.decide(decision("e0", "bolt", Verdict.BLOCK))
    findings = judge(history)
    assert findings.contradictory == (Contradiction("e0", "bolt", "h1", ("allow", "block")),)
    assert findings.doubled == (Miscount("e0", "bolt", 1, 2),)


def test_an_event_sent_twice_is_decided_twice() -> None:
    history = history_of(1)
    history.asked.append(Asked(("creatives", 0, 9), "e0", CLIENTS))
    assert judge(history).missing == (Miscount("e0", "acme", 2, 1), Miscount("e0", "bolt", 2, 1))
    for client in CLIENTS:
        history.decide(decision("e0", client))
    history.scored["e0"] += 1  # type: ignore[index]
    assert judge(history).are_none


def test_an_event_without_any_answer_is_named_by_its_place() -> None:
    history = history_of(1)
    history.asked.append(Asked(("creatives", 3, 7), "lost", CLIENTS))
    findings = judge(history)
    assert [item.place for item in findings.unanswered] == [("creatives", 3, 7)]
    assert {item.event_id for item in findings.missing} == {"lost"}


def test_an_unparsable_record_needs_exactly_one_reject() -> None:
    history = history_of(0, 3)
    history.rejected["creatives", 0, 0] = 0
    history.rejected["creatives", 0, 1] = 2
    findings = judge(history)
    assert [item.place for item in findings.unanswered] == [("creatives", 0, 0)]
    assert [(item.place, item.rejects) for item in findings.doubly_rejected] == [(("creatives", 0, 1), 2)]


def test_a_rejected_event_must_not_be_decided_too() -> None:
    history = history_of(1)
    history.reject(("creatives", 0, 0), "stage_failed")
    assert {(item.client, item.expected, item.found) for item in judge(history).doubled} == {
        ("acme", 0, 1),
        ("bolt", 0, 1),
    }


def test_a_parsable_event_must_not_be_called_unparsable() -> None:
    history = History(asked=[Asked(("creatives", 0, 0), "e0", CLIENTS)])
    history.reject(("creatives", 0, 0), "not_json")
    assert [item.event_id for item in judge(history).wrongly_rejected] == ["e0"]
    history.reasons["creatives", 0, 0] = {"output_refused"}
    assert judge(history).are_none


def test_answers_to_nobody_are_strays() -> None:
    history = history_of(1)
    history.decide(decision("ghost", "acme"))
    history.reject(("creatives", 0, 99), "not_json")
    findings = judge(history)
    assert findings.stray == (Miscount("ghost", "acme", 0, 1),)
    assert [item.place for item in findings.stray_rejects] == [("creatives", 0, 99)]


def test_open_events_concern_whoever_decided_on_one() -> None:
    history = History(asked=[Asked(("creatives", 0, n), f"e{n}", None) for n in range(2)])
    for event_id, client in (("e0", "acme"), ("e0", "bolt"), ("e1", "acme")):
        history.decide(decision(event_id, client))
    assert judge(history).missing == (Miscount("e1", "bolt", 1, 0),)
    history.everyone = frozenset({"acme"})
    assert judge(history).doubled == (Miscount("e0", "bolt", 0, 1),)


def test_shadow_and_repeated_decisions_do_not_count() -> None:
    history = history_of(1)
    history.decide(decision("e0", "acme", Verdict.BLOCK, shadow=True))
    history.decide(decision("e0", "acme", Verdict.BLOCK, redecision=True))
    assert judge(history).are_none


def _lose(history: History, event_id: str) -> tuple[str, object]:
    history.decided[event_id, "acme"] -= 1
    return "missing", (event_id, "acme")


def _double(history: History, event_id: str) -> tuple[str, object]:
    history.decide(decision(event_id, "acme"))
    return "doubled", (event_id, "acme")


def _contradict(history: History, event_id: str) -> tuple[str, object]:
    history.verdicts[event_id, "acme", "h1"].add(Verdict.BLOCK)
    return "contradictory", (event_id, "acme")


def _invent(history: History, event_id: str) -> tuple[str, object]:
    history.decide(decision(f"ghost-{event_id}", "acme"))
    return "stray", (f"ghost-{event_id}", "acme")


def _score_again(history: History, event_id: str) -> tuple[str, object]:
    history.scored[event_id] += 1  # type: ignore[index]
    return "scores_off", (event_id, None)


Fault = Callable[[History, str], tuple[str, object]]


@given(
    st.dictionaries(
        st.integers(0, 29), st.sampled_from([_lose, _double, _contradict, _invent, _score_again]), max_size=12
    ),
    st.integers(0, 5),
)
def test_planted_faults_are_found_and_nothing_else(faults: dict[int, Fault], unparsable: int) -> None:
    history = copy.deepcopy(history_of(30, unparsable))
    planted = {fault(history, f"e{number}") for number, fault in faults.items()}
    findings = judge(history)
    found = {(kind, (item[0], item[1])) for kind in findings.__slots__ for item in getattr(findings, kind)}
    assert found == planted


# From records


def record(topic: str, value: bytes, offset: int = 0) -> Record:
    return Record(topic, 0, offset, None, value)


def image_event(event_id: str, offset: int, **fields: Any) -> Record:
    value = json.dumps(event_json(event_id, image={"base64": "AAAA"}, **fields)).encode()
    return record("creatives", value, offset)


def read(inputs: Iterable[Record], outputs: Iterable[Record]) -> History:
    history = History(asked=list(asked(inputs, clients_by_history)))
    note_outputs(history, outputs, TOPICS)
    return history


def scored(event_id: str) -> Record:
    value = {"event_id": event_id, "surface": "creative", "status": "OK", "scored_at": NOW.isoformat()}
    return record("scores", json.dumps(value).encode())


def test_a_history_is_read_from_records() -> None:
    inputs = [image_event("e0", 0), image_event("e1", 1, clients=["acme", "acme"]), record("creatives", b"{", 2)]
    reject = reject_output("rejects", inputs[2], stage="score", reason="not_json", detail="")
    outputs = [
        record("decisions.allow", decision("e0", "acme").model_dump_json().encode()),
        record("decisions.block", decision("e1", "acme", Verdict.BLOCK).model_dump_json().encode()),
        record("rejects", reject.value),
        scored("e0"),
        scored("e1"),
    ]
    assert judge(read(inputs, outputs)) == Findings()


@pytest.mark.parametrize("padding", [0, 200_000])
def test_a_reject_of_the_second_stage_stands_for_the_decisions(padding: int) -> None:
    """Also where the reject holds only the start of the scored event."""
    value = {"event_id": "e0", "surface": "creative", "status": "OK", "detail": "x" * padding}
    refused = reject_output(
        "rejects", record("scores", json.dumps(value).encode()), stage="decide", reason="stage_failed", detail=""
    )
    history = read([image_event("e0", 0)], [record("rejects", refused.value), scored("e0")])
    history.everyone = CLIENTS
    assert judge(history) == Findings()


def test_what_is_no_decision_is_unreadable() -> None:
    assert judge(read([], [record("decisions.allow", b"{}", 5)])).unreadable == (("decisions.allow", 0, 5),)


def test_the_report_names_every_field() -> None:
    history = history_of(1)
    history.decide(decision("e0", "acme"))
    report = verify_commands.as_report(history, judge(history))
    assert report["ok"] is False
    assert report["doubled"] == [{"event_id": "e0", "client": "acme", "expected": 1, "found": 2}]
    assert report["looked_at"] == {"input_records": 1, "events": 1, "decisions": 3, "rejects": 0}
