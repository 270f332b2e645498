"""The model card says what the recipe did, and nothing else."""

from pathlib import Path

import numpy as np

from moderation.training.data.dataset import Dataset
from moderation.training.data.label_schema import Label, Schema
from moderation.training.measure import card
from moderation.training.recipe import Drawn, Fit, Recipe, Teacher, Views

ABOUT = {"images": {"train": 3}, "sources": ["x", "y"], "near_duplicates_left_out": 1, "skipped": []}
CATALOGUE = ("violence", "violence.weapon", "violence.fight", "adult")


def write(folder: Path, labels: tuple[str, ...] = ("violence",), **settings: object) -> str:
    rows = Dataset(
        tuple(Path(f"{row}.jpg") for row in range(4)),
        np.array(["train", "train", "train", "val"]),
        np.array(["x", "x", "y", "z"]),
        np.zeros((4, 1), np.float32),
        {"licence": np.array(["MIT", "MIT", "", "MIT"])},
    )
    schema = Schema(labels=(Label(name="violence"),))
    recipe = Recipe(name="m", version="1", manifest=folder, model=folder, data=schema, **settings)
    return card.write(recipe, rows, ABOUT, card.Published(labels, CATALOGUE, "fp32", "(numbers)")).read_text()


def test_a_plain_recipe_tells_of_no_teacher_no_drawing_and_no_fine_tuning(tmp_path: Path) -> None:
    text = write(tmp_path)
    assert "| x | 2 | MIT |\n| y | 1 | not stated |\n\n" in text
    assert "EfficientNet-Lite0 ImageNet weights" in text
    for word in ("Taught", "Drawn", "epochs", "int8", "open_nsfw", "weigh less"):
        assert word not in text, word


def test_each_step_that_was_taken_is_told(tmp_path: Path) -> None:
    text = write(
        tmp_path,
        ("violence", "adult"),
        balance=60,
        cut=11,
        teachers=(Teacher(backbone="efficientnet-lite2"), Teacher(graph=Path("t.onnx"), credit="a tagger (MIT)")),
        fit=Fit(epochs=1.5, int8=True),
        views=Views(drawn=Drawn(pages=2, placards=3)),
        limits=("Knives are often missed.",),
    )
    assert "Taught, for `violence`, by EfficientNet-Lite2 ImageNet weights" in text
    assert "and a tagger (MIT), which are not served." in text
    assert "Drawn by code and added: 2 page captures." in text, "placards that show no label are not drawn"
    assert "(above block 11) learned for 1.5 epochs" in text
    assert "Images of a source with more than 60 weigh less." in text
    assert "- Knives are often missed.\n" in text
    assert "open_nsfw" in text
    assert "`violence.weapon`, `violence.fight`" in text, "labels of the catalogue that are not scored are named"
