"""Any policy × any event: exactly one live decision per client concerned, and the engine means what it says."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.events import Decision, ScoredEvent
from tests.policy import reference
from tests.policy.making import NOW
from tests.policy.strategies import CLIENTS, compiled, events, policies


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(dict.fromkeys(CLIENTS, policies)),
    st.lists(events(), min_size=1, max_size=4),
    st.sampled_from([NOW, datetime(2026, 11, 10, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]),
)
def test_the_engine_agrees_with_the_plain_reference(
    written: dict[str, dict[str, Any]], batch: list[ScoredEvent], now: datetime
) -> None:
    decided = compiled(written).decide(batch, now)
    for event, decisions in zip(batch, decided, strict=True):
        concerned = list(dict.fromkeys(event.clients)) or list(CLIENTS)
        assert Counter(d.client for d in decisions) == Counter(concerned)
        for decision in decisions:
            if decision.client == "nobody":
                assert (decision.verdict, decision.policy) == ("review", None)
                continue
            expected = reference.decide(written[decision.client], event, now)
            assert (decision.verdict.value, sorted(r.rule for r in decision.reasons)) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries(dict.fromkeys(CLIENTS, policies)), st.lists(events(), min_size=1, max_size=4))
def test_decisions_are_whole_the_same_every_time_and_the_same_encoded(
    written: dict[str, dict[str, Any]], batch: list[ScoredEvent]
) -> None:
    policy_set = compiled(written)
    decided = policy_set.decide(batch, NOW)
    assert decided == compiled(written).decide(batch, NOW)
    assert [policy_set.decide([event], NOW)[0] for event in batch] == decided
    encoded = policy_set.decide_encoded(batch, NOW)
    assert [[e.value for e in row] for row in encoded] == [
        [d.model_dump_json().encode() for d in row] for row in decided
    ]
    for decision in (d for row in decided for d in row):
        assert Decision.model_validate(decision.model_dump()) == decision
        assert bool(decision.reasons) or decision.verdict == "allow"
        assert not decision.reasons or decision.reasons[0].verdict == decision.verdict
