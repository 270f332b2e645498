"""Shares, intervals and thresholds, against known values and a plain count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.policy.tools.proportions import ScoreCounts, Share


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # As scipy.stats.binomtest(part, whole).proportion_ci(0.95, method="wilson") gives it.
    [(0, 10, 0.0, 0.277533), (1, 10, 0.017876, 0.404150), (5, 10, 0.236593, 0.763407), (10, 10, 0.722467, 1.0)],
)
def test_wilson_intervals(part: int, whole: int, low: float, high: float) -> None:
    share = Share(part, whole)
    assert [share.low, share.high] == pytest.approx([low, high], abs=1e-6)


def test_nothing_counted_is_no_share_and_every_share_is_possible() -> None:
    assert (Share(0, 0).value, Share(0, 0).low, Share(0, 0).high) == (None, 0.0, 1.0)


scores_and_truth = st.lists(
    st.tuples(st.integers(0, 1000).map(lambda n: n / 1000), st.sampled_from([True, False, None])), max_size=60
)


def counted(pairs: list[tuple[float, bool | None]]) -> ScoreCounts:
    counts = ScoreCounts()
    for score, truth in pairs:
        counts.add(score, truth)
    return counts


@given(scores_and_truth, st.integers(0, 1000).map(lambda n: n / 1000))
def test_a_point_counts_what_a_plain_comparison_counts(
    pairs: list[tuple[float, bool | None]], threshold: float
) -> None:
    point = counted(pairs).at(threshold)
    hits = [truth for score, truth in pairs if score >= threshold]
    assert point.precision == Share(hits.count(True), hits.count(True) + hits.count(False))
    assert point.recall == Share(hits.count(True), [t for _, t in pairs].count(True))
    assert point.safe_hit == Share(hits.count(False), [t for _, t in pairs].count(False))
    assert point.load == Share(len(hits), len(pairs))


@given(scores_and_truth, st.sampled_from([0.01, 0.1, 0.3]))
def test_the_lowest_threshold_keeps_the_promise_and_one_step_lower_breaks_it(
    pairs: list[tuple[float, bool | None]], at_most: float
) -> None:
    counts = counted(pairs)
    found = counts.lowest_threshold(at_most)
    if not any(truth is False for _, truth in pairs):
        assert found is None
    elif found is not None:
        assert (found.safe_hit.value or 0) <= at_most
        if found.threshold > 0:
            assert (counts.at(found.threshold - 0.001).safe_hit.value or 0) > at_most


def test_a_proven_threshold_is_never_lower_and_needs_enough_images() -> None:
    few = counted([(0.2, False)] * 50)
    assert few.lowest_threshold(0.01) is not None
    assert few.lowest_threshold(0.01, proven=True) is None
    many = counted([(n / 2000, False) for n in range(2000)])
    seen, proven = many.lowest_threshold(0.05), many.lowest_threshold(0.05, proven=True)
    assert seen and proven
    assert seen.threshold < proven.threshold
    assert proven.safe_hit.high <= 0.05
