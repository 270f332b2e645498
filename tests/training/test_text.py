"""Text models: tables, misread lines, heads on embeddings of a stand-in encoder, and the folder that is shipped."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.balance import balanced
from moderation.training.data.dataset import ManifestError
from moderation.training.text import encoder, heads, lines, misreading, text_model, text_recipe, text_report, training
from moderation.training.text.text_recipe import TextRecipe

MODEL = Path(__file__).parent.parent.parent / "model_candidates" / "political_text"
RECIPE = Path(__file__).parent.parent.parent / "recipes" / "political_text.yaml"

TEXT = """
kind: text
name: words
version: "7"
lines: lines.csv
model: words
data:
  labels:
    - name: political
hard: {genre: [hard_negative]}
weights:
  - {where: {genre: [hard_negative]}, weight: 3}
noise: {share: 0.5, strength: 0.05}
slices: {English: {language: [en]}}
limits: [Only a stand-in.]
"""


def stand_in(texts: Sequence[str]) -> NDArray[np.float32]:
    """Counts of hashed words: enough to tell the words of the table below apart."""
    out = np.zeros((len(texts), encoder.WIDTH), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            out[row, sum(map(ord, word)) % encoder.WIDTH] += 1
    norms = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    unit: NDArray[np.float32] = out / norms
    return unit


@pytest.fixture
def recipe(tmp_path: Path) -> TextRecipe:
    rng = np.random.default_rng(0)
    rows = ["text,political,split,source,language,genre,licence"]
    for index in range(400):
        political = index % 2
        words = ["vote", "party", "senate"] if political else ["shoes", "sale", "coffee"]
        text = " ".join(rng.choice([*words, "now", "for", "you", "today"], 5)) + f" {words[index % 3]}"
        genre = "hard_negative" if not political and index % 6 == 0 else "line"
        split = ("train", "train", "val", "test")[index // 2 % 4]
        rows.append(f"{text},{political},{split},s{index % 7},en,{genre},MIT")
    (tmp_path / "lines.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "words.yaml").write_text(TEXT)
    return text_recipe.read(tmp_path / "words.yaml")


def test_every_bad_line_of_a_table_is_reported_at_once(tmp_path: Path, recipe: TextRecipe) -> None:
    (tmp_path / "bad.csv").write_text("text,political,split,source\nfine,1,train,x\n ,2,vall,\n")
    with pytest.raises(ManifestError) as caught:
        lines.read(tmp_path / "bad.csv", recipe.data)
    assert [problem.column for problem in caught.value.problems] == ["text", "split", "source", "political"]
    with pytest.raises(ManifestError, match="split: no such column"):
        (tmp_path / "bad.csv").write_text("text,political,source\nfine,1,x\n")
        lines.read(tmp_path / "bad.csv", recipe.data)


def test_a_recipe_names_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(TEXT.replace("share: 0.5", "share: 9").replace("version", "versiom"))
    assert text_recipe.is_text(tmp_path / "r.yaml")
    assert not text_recipe.is_text(RECIPE.with_name("brand_safety.yaml"))
    assert not text_recipe.is_text(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="3 mistakes"):
        text_recipe.read(tmp_path / "r.yaml")


def test_misread_lines_are_like_the_line_and_repeat_with_the_seed() -> None:
    line = "Wählt am Sonntag: Für ein soziales Europa 2024"
    seen = [misreading.misread(line, 0.06, np.random.default_rng(seed)) for seed in range(200)]
    again = [misreading.misread(line, 0.06, np.random.default_rng(seed)) for seed in range(200)]
    assert seen == again
    assert all(one.strip() for one in seen)
    assert np.mean([one != line for one in seen]) > 0.9
    assert any(one.isupper() for one in seen)
    assert any("Wahlt" in one for one in seen)
    assert misreading.misread("投票日", 0.3, np.random.default_rng(1)).strip()
    assert misreading.unaccent("й한", 0.1, np.random.default_rng(0)) == "й한", "other scripts keep their marks"


def test_embeddings_are_kept_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return stand_in(texts)

    first = encoder.Library(tmp_path, encode)(["a b", "c", "a  b"])
    assert sorted(asked) == ["a b", "c"]
    np.testing.assert_array_equal(first[0], first[2])
    asked.clear()
    again = encoder.Library(tmp_path, encode)(["c", "d", "a b"])
    assert asked == ["d"]
    np.testing.assert_array_equal(again[2], first[0])


def test_what_is_read_of_a_text_is_bounded_and_printable() -> None:
    assert encoder.clean(" a\x00b\n\tc\u202e ") == "a b c"
    assert len(encoder.clean("x" * 10_000_000)) == encoder.MOST_CHARACTERS


def test_large_sources_weigh_less_than_their_number() -> None:
    source = np.array(["big"] * 90 + ["small"] * 10)
    weight = balanced(source, 10)
    assert weight.mean() == pytest.approx(1)
    assert weight[0] / weight[-1] == pytest.approx(1 / 3)
    assert (balanced(source, 0) == 1).all()


def test_a_source_has_its_most_lines_and_every_hard_one(recipe: TextRecipe) -> None:
    table = lines.read(recipe.lines, recipe.data).part("train")
    some = training.capped(recipe.model_copy(update={"most": 5}), table)
    hard = training.flags(some, recipe.hard)
    assert hard.sum() == training.flags(table, recipe.hard).sum()
    for source in set(some.source.tolist()):
        assert (~hard & (some.source == source)).sum() <= 5


def test_a_text_model_is_trained_written_and_measured(tmp_path: Path, recipe: TextRecipe) -> None:
    made = training.train(recipe, tmp_path / "work", stand_in)
    table = lines.read(recipe.lines, recipe.data)
    card = text_model.write(recipe, made, table, {"val": "(numbers)"}).read_text()
    facts = text_report.examine(recipe, "test", tmp_path / "work", stand_in)
    assert facts["labels"]["political"]["auc"]["value"] > 0.95
    assert facts["hard"]["political"]["lines"] > 0
    assert facts["misread"]["political"]["auc_misread"] <= facts["misread"]["political"]["auc"]
    assert "hard negatives over the threshold" in text_report.shown(facts)
    assert json.loads(text_report.write(tmp_path / "out", facts).read_text())["split"] == "test"
    assert "Only a stand-in." in card
    assert "| s0 |" in card
    kept = heads.load(recipe.model / "1")
    np.testing.assert_allclose(kept.weight, made.heads.weight, rtol=1e-5)
    assert set(made.about["labels"]["political"]["auc_on_sources_left_out"]) == {"0.0001", "0.001", "0.01"}


def test_a_label_without_positives_is_refused_before_anything_is_embedded(recipe: TextRecipe, tmp_path: Path) -> None:
    content = recipe.lines.read_text().replace(",1,train,", ",0,train,")
    recipe.lines.write_text(content)
    with pytest.raises(ConfigurationError, match="label political has no positive in split train"):
        training.train(recipe, tmp_path / "work", lambda _: pytest.fail("nothing is embedded"))
    with pytest.raises(ConfigurationError, match="run `adjudicate train`"):
        heads.load(tmp_path / "none")


def test_the_served_model_reads_texts_as_training_did() -> None:
    """`model.py` runs where this package is not: its copy of `clean` is the same code."""

    def body(file: Path) -> str:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        (found,) = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "clean")
        return "\n".join(ast.unparse(line) for line in found.body[1:])

    assert body(MODEL / "1" / "model.py") == body(Path(encoder.__file__))
    assert f"MOST_CHARACTERS = {encoder.MOST_CHARACTERS}" in (MODEL / "1" / "model.py").read_text()
