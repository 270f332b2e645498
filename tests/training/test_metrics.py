"""Numbers of a report against values worked out by hand, and the refusals."""

from pathlib import Path

import numpy as np
import pytest

from moderation.training.data.dataset import Dataset
from moderation.training.data.label_schema import Where
from moderation.training.fit import calibrate
from moderation.training.graph.export import compare
from moderation.training.measure import examine, metrics
from moderation.training.measure.evaluate import evaluate, one_label


def test_operating_point_lets_at_most_the_share_of_negatives_through() -> None:
    truth = np.array([0] * 100 + [1] * 4, float)
    score = np.concatenate([np.arange(100) / 100, [0.93, 0.945, 0.99, 0.999]])
    point = metrics.operating_point(truth, score, 0.05)
    assert point.threshold == pytest.approx(0.94)
    assert point.recall == pytest.approx(3 / 4)
    assert point.precision == pytest.approx(3 / 8)
    assert (score[truth == 0] > point.threshold).mean() <= 0.05


def test_calibration_error_is_zero_for_honest_scores_and_the_gap_for_boasting_ones() -> None:
    rng = np.random.default_rng(1)
    score = rng.uniform(0, 1, 20_000)
    truth = (rng.uniform(0, 1, 20_000) < score).astype(float)
    assert metrics.calibration_error(truth, score) < 0.02
    assert metrics.calibration_error(np.zeros(100), np.full(100, 0.9)) == pytest.approx(0.9)


def test_bootstrap_holds_the_value_and_narrows_with_more_images() -> None:
    rng = np.random.default_rng(2)

    def width(count: int) -> float:
        truth = np.repeat([0.0, 1.0], count)
        found = metrics.bootstrap(metrics.auc, truth, truth + rng.normal(0, 1, 2 * count), rounds=200)
        assert found.low <= found.value <= found.high
        return found.high - found.low

    assert width(1000) < width(30)


def test_calibration_makes_scores_mean_what_they_say() -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(0, 2, (4000, 2)).astype(np.float32)
    truth = (rng.uniform(0, 1, (4000, 2)) < calibrate.sigmoid(logit)).astype(np.float32)
    boasting = logit * 4 + 1
    truth[:, 1] = np.nan
    truth[:5, 1] = 1
    found = calibrate.fit(boasting, truth, np.arange(4000).astype(str))
    assert found.fitted.tolist() == [True, False]
    assert metrics.calibration_error(truth[:, 0], found(boasting)[:, 0]) < 0.03
    assert (found.slope[1], found.offset[1]) == (1.0, 0.0)
    few = calibrate.fit(boasting, truth, (np.arange(4000) % 5).astype(str))
    assert found.slope[0] < few.slope[0] < 1, "five sources say less than four thousand"


def test_far_images_are_more_uncertain_than_near_ones() -> None:
    rng = np.random.default_rng(4)
    train, val = rng.normal(0, 1, (500, 40)), rng.normal(0, 1, (200, 40))
    space = calibrate.embedding_space(train.astype(np.float32), val.astype(np.float32), 8)
    distance = np.sqrt(np.mean((val * 6 @ space.project + space.origin) ** 2, axis=1))
    assert space.near < space.far < np.median(distance)


def test_a_label_without_positives_gets_no_numbers() -> None:
    told = one_label(np.array([0, 0, np.nan]), np.array([0.1, 0.7, 0.9]), rounds=10)
    assert told["refused"].startswith("no positives in this split")
    assert told["false_alarms_at_half"] == 0.5
    assert told["unknown"] == 1
    assert not {"average_precision", "auc", "operating_points", "calibration_error"} & told.keys()


def test_few_positives_come_with_a_warning() -> None:
    told = one_label(np.array([0.0] * 30 + [1, 1]), np.linspace(0, 1, 32), rounds=10)
    assert "only 2 of one kind" in told["warning"]


def data(targets: list[list[float]], source: list[str], **facts: list[str]) -> Dataset:
    columns = {name: np.array(values) for name, values in facts.items()}
    paths = tuple(Path(f"{row}.jpg") for row in range(len(targets)))
    split = np.array(["val"] * len(targets))
    return Dataset(paths, split, np.array(source), np.array(targets, np.float32), columns)


def test_a_source_is_judged_by_a_calibration_that_never_saw_it() -> None:
    """One source boasts: fitted with it, calibration hides that; fitted without it, it shows."""
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, (3000, 1))
    truth = (rng.uniform(0, 1, (3000, 1)) < calibrate.sigmoid(logit)).astype(np.float32)
    source = np.where(np.arange(3000) < 1000, "boasting", "honest")
    told = np.where(source == "boasting", 3, 1)[:, None] * logit
    apart = calibrate.cross_fitted(told, truth, source)
    boasting = source == "boasting"
    together = calibrate.fit(told[boasting], truth[boasting], np.arange(1000).astype(str))(told[boasting])
    assert metrics.calibration_error(truth[boasting, 0], together[:, 0]) < 0.04
    assert metrics.calibration_error(truth[boasting, 0], apart[boasting, 0]) > 0.05


def test_evaluation_tells_sources_slices_confusion_and_worst_mistakes() -> None:
    rows = data(
        [[1, 0], [1, 0], [0, 1], [0, 0], [0, np.nan], [0, 0]],
        ["x", "x", "y", "y", "y", "y"],
        kind=["photo", "photo", "photo", "poster", "poster", "photo"],
    )
    scores = np.array([[0.9, 0.8], [0.2, 0.1], [0.1, 0.7], [0.95, 0.2], [0.3, 0.9], [0.05, 0.3]])
    slices: dict[str, Where] = {"posters": {"kind": ("poster",)}, "dark skin": {"skin_tone": ("dark",)}}
    found = evaluate(rows, ("a", "b"), scores, slices, rounds=20)
    a = found.facts["labels"]["a"]
    assert a["sources"]["x"] == {"positives": 2, "negatives": 0, "found_at_half": 0.5}
    assert a["slices"]["posters"] == {"positives": 0, "negatives": 2, "false_alarms_at_half": 0.5}
    assert found.facts["slices_unknown"] == ["dark skin: not known (the manifest has no such rows)"]
    assert found.worst["a"]["false alarms"][0] == 3
    assert found.worst["a"]["misses"][0] == 1
    assert found.worst["b"]["false alarms"][0] == 0
    assert set(found.facts["confusion"]["a"]) == {"b"}


def test_int8_is_refused_when_it_loses_or_turns_too_much() -> None:
    rng = np.random.default_rng(5)
    truth = (np.arange(200) % 4 == 0).astype(float)
    full = np.clip(truth * 0.6 + rng.uniform(0, 0.35, 200), 0, 1)[:, None]
    assert compare(full, full, {"a": (0, truth)}).passed
    turned = full.copy()
    turned[:6] = 1 - turned[:6]
    gate = compare(full, turned, {"a": (0, truth)})
    assert gate.flipped == pytest.approx(0.03)
    assert not gate.passed


def test_parts_have_a_ranking_and_an_interval_where_there_are_enough_images() -> None:
    rng = np.random.default_rng(5)
    truth = np.repeat([0.0, 1.0, 0.0, 1.0], [40, 40, 3, 3])
    score = np.clip(truth * 0.3 + rng.uniform(0, 0.7, len(truth)), 0, 1)
    rows = data([[one] for one in truth], ["many"] * 80 + ["few"] * 6)
    found = evaluate(rows, ("a",), score[:, None], {}, rounds=20).facts
    many, few = (found["labels"]["a"]["sources"][name] for name in ("many", "few"))
    low, high = many["auc_interval"]
    assert 0.5 < low <= many["auc"] <= high <= 1
    assert "auc" in few
    assert "auc_interval" not in few, "six images have no interval worth showing"
    table = examine.parts(found, "sources").splitlines()
    assert [line.split()[:4] for line in table[1:]] == [["a", "few", "3", "3"], ["a", "many", "40", "40"]]
