"""The shipped model on labelled photographs of sources it never saw: how well it does what is tested elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from moderation.training import recipe
from moderation.training.data import dataset, pixels
from moderation.training.graph import assemble, served
from moderation.training.measure import metrics

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data"
Columns = dict[str, NDArray[np.float32]]
MOST = 60
"""Images of each kind: enough to tell a good model from a broken one."""

pytestmark = [
    pytest.mark.photos,
    pytest.mark.skipif(
        not (PHOTOS / "manifest.csv").is_file(),
        reason=f"SKIPPED LOUDLY: no labelled photographs in {PHOTOS.parent.name}/{PHOTOS.name} beside the checkout",
    ),
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Columns, Columns]:
    """What is true of a part of the validation split, and what the served graph says of it, by label."""
    made = recipe.read(ROOT / "recipes" / "brand_safety.yaml")
    data = dataset.read(made.manifest, made.data)
    rng = np.random.default_rng(0)
    val = data.split == "val"
    rows: set[int] = set()
    for place in range(len(made.data.names())):
        for value in (0, 1):
            known = np.flatnonzero(val & (data.targets[:, place] == value))
            rows |= set(rng.permutation(known)[:MOST].tolist())
    part = data.take(np.array(sorted(rows), np.intp))
    decoded = pixels.decode(part, made.size, tmp_path_factory.mktemp("photos") / "pixels.npy")
    assert not decoded.skipped
    assemble.assemble(made.model)
    graph = served.open_model(made.model)
    answers = graph(decoded.pixels)
    truth = dict(zip(made.data.names(), decoded.data.targets.T, strict=True))
    return truth, dict(zip(graph.labels, answers.scores.T, strict=True))


@pytest.mark.parametrize(("label", "least"), [("violence", 0.82), ("violence.fire", 0.9), ("political", 0.88)])
def test_what_shows_a_label_scores_above_what_does_not(
    shown: tuple[Columns, Columns], label: str, least: float
) -> None:
    truth, scores = shown
    known = ~np.isnan(truth[label])
    assert metrics.auc(truth[label][known], scores[label][known]) > least


def test_ordinary_photographs_are_not_called_adult(shown: tuple[Columns, Columns]) -> None:
    _, scores = shown
    assert (scores["adult"] >= 0.5).mean() <= 0.01
