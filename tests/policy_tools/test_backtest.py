"""A policy against truth, held against a plain count over the same events."""

from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.events import Surface, Verdict
from moderation.policy import EffectivePolicy, PolicySet, load
from moderation.policy.tools.backtest import Outcome, backtest
from moderation.policy.tools.proportions import Share
from moderation.policy.tools.recorded import Truth, Truths, truths
from tests.catalogue import CATALOGUE
from tests.policy.making import NOW, event
from tests.policy_tools.recordings import recording


def policy(client: str = "acme") -> EffectivePolicy:
    found = load(Path("policies")).policy(client)
    assert found
    return found


def test_decisions_are_counted_against_truth_as_a_plain_loop_counts_them(folder: Path) -> None:
    events, known = recording()[0], truths(Path("labels.csv"), CATALOGUE)
    result = backtest(policy(), events, known, NOW)
    plain = Outcome()
    for each, (decision,) in zip(events, PolicySet((policy(),)).decide(events, NOW), strict=True):
        plain.add(decision.verdict, known.by_key[each.event_id].unsafe)
    assert result.outcome.counts == plain.counts
    assert (result.events, result.matched) == (400, 400)
    assert sum(result.outcome.counts.values()) == 400


def test_the_shares_are_of_what_they_say() -> None:
    outcome = Outcome()
    counts = {("block", "unsafe"): 6, ("block", "safe"): 2, ("block", "unknown"): 9, ("review", "unsafe"): 3,
              ("review", "safe"): 4, ("allow", "unsafe"): 1, ("allow", "safe"): 25}  # fmt: skip
    outcome.counts.update(counts)
    assert outcome.block_precision == Share(6, 8)
    assert outcome.block_recall == Share(6, 10)
    assert outcome.kept_away == Share(9, 10)
    assert outcome.safe_blocked == Share(2, 31)
    assert outcome.review_load == Share(7, 50)


def test_an_event_that_names_other_clients_is_put_to_the_policy_all_the_same(folder: Path) -> None:
    known = Truths("event_id", {"e": Truth({"adult": True})})
    result = backtest(policy(), [event("e", {"adult": 0.99}, clients=("zeta",))], known, NOW)
    assert result.outcome.counts == {("block", "unsafe"): 1}


def test_a_false_top_label_makes_its_sub_labels_false_and_a_true_one_says_nothing_of_them(folder: Path) -> None:
    known = Truths("event_id", {"a": Truth({"violence": False}), "b": Truth({"violence": True})})
    events = [event("a", {"violence.weapon": 0.3}), event("b", {"violence.weapon": 0.8})]
    counts = backtest(policy(), events, known, NOW).labels["violence.weapon"]
    assert (counts.without.sum(), counts.with_label.sum(), counts.everything.sum()) == (1, 0, 2)


def test_a_label_with_one_kind_of_truth_only_has_no_curve(folder: Path) -> None:
    known = Truths("event_id", {"a": Truth({"adult": True})})
    assert backtest(policy(), [event("a", {"adult": 0.9})], known, NOW).known_labels == []


def test_no_match_at_all_is_an_error_that_says_so(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of 1 events has its event_id among 1 labelled images"):
        backtest(policy(), [event("a")], Truths("event_id", {"b": Truth({})}), NOW)


def test_the_curve_stands_on_the_grid_and_on_the_thresholds_of_today(folder: Path) -> None:
    cuts = {"adult": {"review": 0.123, "block": float("inf")}}
    result = backtest(policy(), recording()[0], truths(Path("labels.csv"), CATALOGUE), NOW, cuts=cuts)
    thresholds = [point.threshold for point in result.curve("adult")]
    assert thresholds == sorted(thresholds)
    assert {0.05, 0.123, 0.95} <= set(thresholds)
    assert result.as_json()["labels"]["adult"]["cuts"] == {"review": 0.123, "block": "never"}


def test_suggestions_come_from_the_images_without_the_label(folder: Path) -> None:
    result = backtest(policy(), recording()[0], truths(Path("labels.csv"), CATALOGUE), NOW, promises=(0.05,))
    (suggestion,) = result.suggestions("violence")
    assert suggestion.seen and suggestion.proven
    assert suggestion.seen.safe_hit.value is not None
    assert suggestion.seen.safe_hit.value <= 0.05 < suggestion.proven.safe_hit.high + 0.05
    assert suggestion.seen.threshold <= suggestion.proven.threshold


def test_surfaces_are_decided_each_by_its_own_thresholds(folder: Path) -> None:
    known = Truths("event_id", {"e": Truth({}, Verdict.BLOCK)})
    result = backtest(policy(), [event("e", {"violence": 0.99}, surface=Surface.PAGE)], known, NOW)
    assert "thresholds.page.violence.block" in result.rules
