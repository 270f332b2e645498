"""A policy against truth, held against a plain count over the same events."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, Status, Surface, Verdict
from moderation.policy import PolicySet, load
from moderation.policy.engine.rules.registry import RULES
from moderation.policy.tools.backtest import SAFE_BLOCKED, UNSAFE_ALLOWED, Backtest, backtest
from moderation.policy.tools.heaviest import Weight
from moderation.policy.tools.outcomes import Outcome, find_source
from moderation.policy.tools.proportions import Share
from moderation.policy.tools.truth_table import Truth, Truths, read_truths
from tests.catalogue import CATALOGUE
from tests.policy.making import NOW, event
from tests.policy_tools.recordings import recording


def run_backtest(
    events: Iterable[ScoredEvent], known: Truths, policies: PolicySet | None = None, **options: Any
) -> Backtest:
    """Of the policy of acme."""
    policies = policies or load(Path("policies"))
    policy = policies.policy("acme")
    assert policy
    return backtest(policies, policy, events, known, NOW, **options)


def counted(outcome: Outcome) -> dict[tuple[str, str], int]:
    return {key: weight.events for key, weight in outcome.weights.items() if weight.events}


def test_decisions_are_counted_against_truth_as_a_plain_loop_counts_them(folder: Path) -> None:
    events, known = recording()[0], read_truths(Path("labels.csv"), CATALOGUE)
    acme = load(Path("policies")).policy("acme")
    assert acme
    result = run_backtest(events, known)
    plain, alone = Outcome(), PolicySet((acme,))
    for each, (decision,) in zip(events, alone.decide(events, NOW), strict=True):
        plain.add(decision.verdict, known.by_key[each.event_id].unsafe)
    assert {key: w.events for key, w in result.outcome.weights.items()} == {
        key: w.events for key, w in plain.weights.items()
    }
    assert (result.events, result.matched) == (400, 400)
    assert result.outcome.whole.events == 400
    assert result.outcome.whole.impressions == sum(each.context.impressions or 0 for each in events)


def test_the_shares_are_of_what_they_say() -> None:
    outcome = Outcome()
    counts = {("block", "unsafe"): 6, ("block", "safe"): 2, ("block", "unknown"): 9, ("review", "unsafe"): 3,
              ("review", "safe"): 4, ("allow", "unsafe"): 1, ("allow", "safe"): 25}  # fmt: skip
    outcome.weights.update({key: Weight(number, 10 * number) for key, number in counts.items()})
    assert outcome.block_precision == Share(6, 8)
    assert outcome.block_recall == Share(6, 10)
    assert outcome.kept_away == Share(9, 10)
    assert outcome.safe_blocked == Share(2, 31)
    assert outcome.review_load == Share(7, 50)
    assert outcome.by_impressions("block_precision") == 6 / 8
    assert outcome.by_impressions("safe_blocked") == 2 / 31
    assert Outcome().by_impressions("block_recall") is None


def test_an_event_that_names_other_clients_is_put_to_the_policy_all_the_same(folder: Path) -> None:
    known = Truths("event_id", {"e": Truth({"adult": True})})
    result = run_backtest([event("e", {"adult": 0.99}, clients=("zeta",))], known)
    assert counted(result.outcome) == {("block", "unsafe"): 1}


def test_a_false_top_label_makes_its_sub_labels_false_and_a_true_one_says_nothing_of_them(folder: Path) -> None:
    known = Truths("event_id", {"a": Truth({"violence": False}), "b": Truth({"violence": True})})
    events = [event("a", {"violence.weapon": 0.3}), event("b", {"violence.weapon": 0.8})]
    counts = run_backtest(events, known).labels["violence.weapon"]
    assert (counts.without.sum(), counts.with_label.sum(), counts.everything.sum()) == (1, 0, 2)


def test_a_label_with_one_kind_of_truth_only_has_no_curve(folder: Path) -> None:
    known = Truths("event_id", {"a": Truth({"adult": True})})
    assert run_backtest([event("a", {"adult": 0.9})], known).known_labels == []


def test_no_match_at_all_is_an_error_that_says_so(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of 1 events has its event_id among 1 labelled images"):
        run_backtest([event("a")], Truths("event_id", {"b": Truth({})}))


def test_the_curve_stands_on_the_grid_and_on_the_thresholds_of_today(folder: Path) -> None:
    cuts = {"adult": {"review": 0.123, "block": float("inf")}}
    result = run_backtest(recording()[0], read_truths(Path("labels.csv"), CATALOGUE), cuts=cuts)
    thresholds = [point.threshold for point in result.curve("adult")]
    assert thresholds == sorted(thresholds)
    assert {0.05, 0.123, 0.95} <= set(thresholds)
    assert result.as_json()["labels"]["adult"]["cuts"] == {"review": 0.123, "block": "never"}


def test_suggestions_come_from_the_images_without_the_label(folder: Path) -> None:
    result = run_backtest(recording()[0], read_truths(Path("labels.csv"), CATALOGUE), promises=(0.05,))
    (suggestion,) = result.suggestions("violence")
    assert suggestion.seen and suggestion.proven
    assert suggestion.seen.safe_hit.value is not None
    assert suggestion.seen.safe_hit.value <= 0.05 < suggestion.proven.safe_hit.high + 0.05
    assert suggestion.seen.threshold <= suggestion.proven.threshold


def test_surfaces_are_decided_each_by_its_own_thresholds(folder: Path) -> None:
    known = Truths("event_id", {"e": Truth({}, Verdict.BLOCK)})
    result = run_backtest([event("e", {"violence": 0.99}, surface=Surface.PAGE)], known)
    assert "thresholds.page.violence.block" in result.rules


LISTED = """client: acme
thresholds: {adult: {review: 0.4, block: 0.7}}
lists:
  block: {adomain: [bad.example]}
  allow: {adomain: [good.example]}
rules:
  heavy: {when: impressions != null && impressions > 1000, verdict: review}
"""


def listed(tmp_path: Path) -> PolicySet:
    (tmp_path / "acme.yaml").write_text(LISTED, "utf-8")
    return load(tmp_path)


def test_lists_are_kept_apart_from_scores(tmp_path: Path) -> None:
    """A list that blocks a safe image is no mistake of the model, and one that allows a review no merit."""
    events = [
        event("listed", {"adult": 0.1}, adomain=("bad.example",), impressions=10),
        event("trusted", {"adult": 0.5}, adomain=("good.example",), impressions=20),
        event("scored", {"adult": 0.9}, impressions=30),
        event("both", {"adult": 0.9}, adomain=("bad.example",), impressions=40),
        event("ruled", {"adult": 0.1}, impressions=5000),
        event("broken", status=Status.FETCH_FAILED),
    ]
    known = Truths("event_id", {each.event_id: Truth({"adult": "scored" in each.event_id}) for each in events})
    result = run_backtest(events, known, listed(tmp_path))
    assert {name: counted(each) for name, each in result.by_source.items() if each.whole.events} == {
        "lists": {("block", "safe"): 2, ("allow", "safe"): 1},
        "scores": {("block", "unsafe"): 1},
        "rules": {("review", "safe"): 1},
        "guards": {("review", "safe"): 1},
    }
    assert counted(result.by_scores) == {
        ("block", "unsafe"): 1,
        ("block", "safe"): 1,
        ("review", "safe"): 1,
        ("allow", "safe"): 2,
    }
    assert result.by_source["lists"].impressions("block", "safe") == 50


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("lists.block.adomain", "lists"),
        ("rules.thresholds", "rules"),
        ("political.blackouts.vote", "political"),
        ("thresholds.creative.political.block", "scores"),
        ("markets.NO.thresholds.page.adult.review", "scores"),
        ("on_uncertain", "scores"),
        ("on_error.rules.x", "guards"),
        ("on_missing_label", "guards"),
        ("on_expired.policy", "guards"),
        (None, "nothing fired"),
    ],
)
def test_what_decides_is_known_by_the_rules_name(rule: str | None, source: str) -> None:
    assert find_source(rule, RULES) == source


def test_mistakes_are_kept_by_creative_and_the_heaviest_shown_first(tmp_path: Path) -> None:
    events = [
        *(event(f"s{n}", {"adult": 0.9}, crid="skin", impressions=n) for n in range(3)),
        event("heavy", {"adult": 0.8}, crid="heavy", impressions=100),
        event("missed", {"adult": 0.2}, crid="missed", impressions=7),
        event("right", {"adult": 0.9}, crid="right", impressions=999),
    ]
    unsafe = {"missed", "right"}
    known = Truths("event_id", {each.event_id: Truth({"adult": each.event_id in unsafe}) for each in events})
    wrong = run_backtest(events, known, listed(tmp_path)).wrong
    blocked, allowed = (wrong[kind].ranked() for kind in (SAFE_BLOCKED, UNSAFE_ALLOWED))
    assert [(each.shown.crid, each.weight.events, each.weight.impressions) for each in blocked] == [
        ("heavy", 1, 100),
        ("skin", 3, 3),
    ]
    assert [(each.shown.crid, list(each.labels), each.rule) for each in allowed] == [
        ("missed", ["adult"], "nothing fired")
    ]
