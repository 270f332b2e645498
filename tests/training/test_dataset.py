"""Manifests: every mistake of every row at once, with its line, and nothing trained."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from moderation.errors import ConfigurationError
from moderation.training import recipe
from moderation.training.data import dataset, leakage
from moderation.training.data.dataset import ManifestError
from moderation.training.data.label_schema import Schema
from moderation.training.data.pixels import decode

SCHEMA = Schema.model_validate(
    {
        "labels": [
            {"name": "violence"},
            {"name": "violence.weapon", "column": "violence", "only_where": {"kind": ["gun"]}},
            {"name": "political", "unknown_where": [{"kind": ["screenshot"]}]},
            {"name": "gore", "kind": "ordinal", "levels": 3},
            {"name": "skin", "kind": "scalar"},
            {"name": "cat", "group": "animal"},
            {"name": "dog", "group": "animal"},
        ]
    }
)
HEADER = "path,split,source,kind,violence,political,gore,skin,cat,dog\n"


def picture(file: Path, seed: int, side: int = 96) -> None:
    """Overlapping rectangles: enough structure for a perceptual hash."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128, np.uint8)
    for _ in range(30):
        corners = rng.integers(0, side, 4).tolist()
        cv2.rectangle(image, tuple(corners[:2]), tuple(corners[2:]), rng.integers(0, 256, 3).tolist(), -1)
    assert cv2.imwrite(str(file), image)


def manifest(folder: Path, *rows: str) -> Path:
    for name in ("a", "b", "c"):
        if not (folder / f"{name}.png").exists():
            picture(folder / f"{name}.png", ord(name))
    file = folder / "manifest.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return file


def test_reads_every_kind_of_label_and_keeps_unknown_unknown(tmp_path: Path) -> None:
    file = manifest(
        tmp_path,
        "a.png,train,one,gun,1,0,2,0.25,1,0",
        "b.png,val,two,screenshot,1,1,1,,0,1",
        "c.png,train,one,photo,0,1,,1,,",
    )
    data = dataset.read(file, SCHEMA)
    assert data.split.tolist() == ["train", "val", "train"]
    expected = [
        [1, 1, 0, 1, 0.25, 1, 0],
        [1, np.nan, np.nan, 0.5, np.nan, 0, 1],
        [0, 0, 1, np.nan, 1, np.nan, np.nan],
    ]
    np.testing.assert_array_equal(data.targets, np.array(expected, np.float32))


def test_all_bad_rows_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    file = manifest(
        tmp_path,
        "a.png,train,one,gun,1,0,2,0.25,1,1",
        "gone.png,train,one,photo,yes,0,3,0.5,,",
        "b.png,holdout,,photo,0,0,0,1.5,,",
        "a.png,train,one,photo,0,0,0,,,",
    )
    with pytest.raises(ManifestError) as caught:
        dataset.read(file, SCHEMA)
    assert [str(problem) for problem in caught.value.problems] == [
        "line 2, animal: more than one label of an exclusive group is 1",
        "line 3, path: no such file: gone.png",
        "line 3, violence: 'yes': expected 1, 0, or empty for unknown",
        "line 3, gore: '3': expected a level from 0 to 2, or empty for unknown",
        "line 4, split: 'holdout': expected one of train, val, test",
        "line 4, source: empty: name where the image came from",
        "line 4, skin: '1.5': expected a number from 0 to 1, or empty for unknown",
        "line 5, path: duplicate of line 2: a.png",
    ]
    assert "8 mistakes, nothing was done" in str(caught.value)


def test_missing_columns_are_named_together(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    file.write_text("path,split,violence\n")
    with pytest.raises(ManifestError) as caught:
        dataset.read(file, SCHEMA)
    assert {problem.column for problem in caught.value.problems} == {
        "source", "kind", "political", "gore", "skin", "cat", "dog",
    }  # fmt: skip


def test_a_recipe_may_be_read_for_another_manifest(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "recipes" / "brand_safety.yaml"
    other = recipe.read(shipped, tmp_path / "mine.csv")
    assert other.manifest == tmp_path / "mine.csv"
    assert other.model_copy(update={"manifest": recipe.read(shipped).manifest}) == recipe.read(shipped)


def test_a_manifest_that_is_not_there_or_empty_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read .*name another with --manifest"):
        dataset.read(tmp_path / "none.csv", SCHEMA)
    with pytest.raises(ManifestError, match="no rows below the header"):
        dataset.read(manifest(tmp_path), SCHEMA)


def test_a_corrupt_image_is_named_skipped_and_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    file = manifest(tmp_path, "a.png,train,one,gun,1,0,,,,", "b.png,train,one,gun,1,0,,,,", "c.png,val,two,gun,1,0,,,,")
    decoded = decode(dataset.read(file, SCHEMA), 32, tmp_path / "pixels.npy")
    assert [one.path.name for one in decoded.skipped] == ["b.png"]
    assert "DECODE_FAILED" in decoded.skipped[0].reason
    assert [path.name for path in decoded.data.paths] == ["a.png", "c.png"]
    assert decoded.pixels.shape == (2, 32, 32, 3)
    assert decoded.data.targets.shape[0] == 2


def test_copies_across_splits_are_found_and_others_are_not(tmp_path: Path) -> None:
    picture(tmp_path / "full.png", 7, side=512)
    full = cv2.imread(str(tmp_path / "full.png"))
    assert full is not None
    for name, quality in (("a", 95), ("b", 85)):
        assert cv2.imwrite(str(tmp_path / f"{name}.jpg"), full, [cv2.IMWRITE_JPEG_QUALITY, quality])
    file = manifest(tmp_path, "a.jpg,train,one,gun,1,0,,,,", "c.png,train,one,gun,1,0,,,,", "b.jpg,val,two,gun,1,0,,,,")
    decoded = decode(dataset.read(file, SCHEMA), 128, tmp_path / "pixels.npy")
    leaks = leakage.across_splits(decoded)
    assert [(leak.kept.name, leak.copy.name) for leak in leaks] == [("b.jpg", "a.jpg")]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([{"name": "a"}, {"name": "a"}], "named twice: a"),
        ([{"name": "a", "group": "g"}], "groups of a single label: g"),
        ([{"name": "a", "kind": "scalar", "group": "g"}, {"name": "b", "group": "g"}], "exclude each other"),
        ([{"name": "a", "levels": 4}], "levels belong to ordinal labels"),
        ([{"name": "Upper"}], "pattern"),
        ([{"name": "a", "colour": "red"}], "colour"),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused(labels: list[dict[str, object]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Schema.model_validate({"labels": labels})
