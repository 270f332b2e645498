"""Any policy × any event: exactly one live decision per client concerned, and the engine means what it says."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.events import Decision, ScoredEvent, Status
from moderation.policy import PolicySet, examine_text
from tests.catalogue import LABELS, TOP_LABELS
from tests.policy import reference
from tests.policy.making import MODEL, NOW

CLIENTS = ("acme", "bravo", "coda")
COUNTRIES = ("NO", "DE")
SHAS = ("a" * 64, "b" * 64)
answers = st.sampled_from(["allow", "review", "block"])
reviews = st.one_of(st.sampled_from([0.0, 0.25, 0.5]), st.floats(0, 0.5), st.just("never"))
blocks = st.one_of(st.sampled_from([0.5, 0.75, 1.0]), st.floats(0.5, 1), st.just("never"))
cuts = st.fixed_dictionaries({}, optional={"review": reviews, "block": blocks})
tiers = st.sampled_from(["low"])  # others would ask for reviews above drawn blocks
layers = {
    "suitability": st.dictionaries(st.sampled_from(TOP_LABELS), tiers, max_size=2),
    "thresholds": st.dictionaries(st.sampled_from(LABELS), cuts.filter(bool), max_size=3),
}
layer = st.fixed_dictionaries({}, optional=layers)
surfaces = st.dictionaries(st.sampled_from(["creative", "page"]), layer, max_size=2)
markets = st.dictionaries(
    st.sampled_from(COUNTRIES), st.fixed_dictionaries({}, optional={**layers, "surfaces": surfaces}), max_size=2
)
political_answers = {
    "threshold": st.one_of(st.floats(0, 1), st.just("never")),
    "declared": answers,
    "undeclared": answers,
}
political = st.fixed_dictionaries(
    {},
    optional={
        **political_answers,
        "countries": st.dictionaries(
            st.sampled_from(COUNTRIES), st.fixed_dictionaries({}, optional=political_answers), max_size=2
        ),
        "blackouts": st.just({"vote": {"countries": ["NO"], "from": "2026-11-20", "until": "2026-11-30"}}),
    },
).filter(bool)


@st.composite
def lists(draw: st.DrawFn) -> dict[str, Any]:
    """Every entry in one list at most: the same in two is refused."""
    pools = {
        "crid": ["c1", "c2"],
        "adomain": ["shop.example", "other.example"],
        "domain": ["news.example"],
        "content_sha256": list(SHAS),
    }
    out: dict[str, Any] = {}
    for kind, pool in pools.items():
        for entry in pool:
            verdict = draw(st.sampled_from(["block", "review", "allow", None]))
            if verdict:
                out.setdefault(verdict, {}).setdefault(kind, []).append(entry)
    return out


rules = st.dictionaries(
    st.sampled_from(["one", "two"]),
    st.fixed_dictionaries({"when": st.sampled_from(sorted(reference.EXPRESSIONS)), "verdict": answers}),
    max_size=2,
)
policies = st.fixed_dictionaries(
    {},
    optional={
        **layers,
        "surfaces": surfaces,
        "markets": markets,
        "lists": lists(),
        "political": political,
        "rules": rules,
        "uncertainty": st.one_of(st.floats(0, 1), st.just("never")),
        "on_error": answers,
        "on_missing_label": answers,
        "on_uncertain": answers,
        "on_expired": answers,
        "valid_until": st.sampled_from(["2026-11-21", "2026-11-22", "2030-01-01"]),
        "max_score_age_days": st.integers(1, 40),
    },
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "crid": st.sampled_from(["c1", "c2", "c3"]),
        "adomain": st.lists(
            st.sampled_from(["shop.example", "www.shop.example", "other.example", "x.example"]), max_size=2
        ),
        "domain": st.sampled_from(["news.example", "m.news.example", "fakenews.example"]),
        "country": st.sampled_from([*COUNTRIES, "FR"]),
        "declared_political": st.booleans(),
        "cattax": st.just(8),
        "cat": st.lists(st.sampled_from(["1474", "386"]), max_size=2),
    },
)
scores = st.dictionaries(
    st.sampled_from(LABELS), st.one_of(st.sampled_from([0.0, 0.2, 0.25, 0.3, 0.35, 0.5, 0.7, 1.0]), st.floats(0, 1))
)


@st.composite
def events(draw: st.DrawFn) -> ScoredEvent:
    status = draw(st.one_of(st.just(Status.OK), st.sampled_from(Status)))
    found = {**dict.fromkeys(LABELS, 0.1), **draw(scores)}
    for label in draw(st.lists(st.sampled_from(LABELS), max_size=2)):
        found.pop(label, None)
    return ScoredEvent.model_validate(
        {
            "event_id": draw(
                st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)
            ),
            "surface": draw(st.sampled_from(["creative", "page"])),
            "clients": draw(st.one_of(st.just([]), st.lists(st.sampled_from([*CLIENTS, "nobody"]), max_size=4))),
            "context": draw(contexts),
            "status": status,
            "content_sha256": draw(st.sampled_from([None, *SHAS, "c" * 64])),
            "scores": found if status is Status.OK else {},
            "uncertainty": draw(st.one_of(st.none(), st.floats(0, 1))) if status is Status.OK else None,
            "model": MODEL,
            "scored_at": NOW - timedelta(days=draw(st.integers(0, 60))),
        }
    )


def compiled(written: dict[str, dict[str, Any]]) -> PolicySet:
    texts = {f"{name}.yaml": json.dumps({"client": name, **policy}) for name, policy in written.items()}
    examination = examine_text(texts, Path())
    assert not examination.mistakes, [str(m) for m in examination.mistakes]
    return PolicySet(examination.policies)


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
    policies = compiled(written)
    decided = policies.decide(batch, NOW)
    assert decided == compiled(written).decide(batch, NOW)
    assert [policies.decide([event], NOW)[0] for event in batch] == decided
    encoded = policies.decide_encoded(batch, NOW)
    assert [[e.value for e in row] for row in encoded] == [
        [d.model_dump_json().encode() for d in row] for row in decided
    ]
    for decision in (d for row in decided for d in row):
        assert Decision.model_validate(decision.model_dump()) == decision
        assert bool(decision.reasons) or decision.verdict == "allow"
        assert not decision.reasons or decision.reasons[0].verdict == decision.verdict
