"""How good a text model is on a table of lines: labels, sources, slices, hard lines, misread lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.dataset import SPLITS
from moderation.training.data.pixels import Progress, silent
from moderation.training.measure.evaluate import FALSE_POSITIVES, HALF, evaluate, one_label
from moderation.training.measure.examine import parts, summary
from moderation.training.text import heads, lines, text_model, training
from moderation.training.text.encoder import Encode, Library
from moderation.training.text.heads import TextHeads
from moderation.training.text.lines import Lines
from moderation.training.text.text_recipe import TextRecipe
from moderation.training.text.training import flags, misread

Floats = NDArray[np.floating]

MISREAD: Final = 400
"""Lines that are misread for a report: an encoder is slow."""

_ROUNDS: Final = 200


@dataclass(frozen=True, slots=True)
class Made:
    """A trained text model: its card, and what a terminal shows of its numbers."""

    card: Path
    shown: str


def train_and_write(recipe: TextRecipe, work: Path, encode: Encode, progress: Progress = silent) -> Made:
    """Train `recipe`, write the model's folder, measure it on validation and test, and write its card."""
    fitted = training.train(recipe, work, encode, progress)
    table = lines.read(recipe.lines, recipe.data)
    text_model.write(recipe, fitted, table, {})
    found = {split: examine(recipe, split, work, encode, progress) for split in SPLITS[1:] if split in table.split}
    numbers = {split: shown(facts) for split, facts in found.items()}
    card = text_model.write(recipe, fitted, table, numbers)
    return Made(card, "\n\n".join(f"{split}\n{one}" for split, one in numbers.items()))


def examine(recipe: TextRecipe, split: str, work: Path, encode: Encode, progress: Progress = silent) -> dict[str, Any]:
    """Everything a report says of the committed heads. Raises ConfigurationError for what cannot be read."""
    table = training.sampled(recipe, lines.read(recipe.lines, recipe.data)).part(split)
    if not len(table):
        raise ConfigurationError(f"{recipe.lines}: no line is in split {split!r}")
    made, library = heads.load(recipe.model / "1"), Library(work / "text", encode)
    found = evaluate(table, recipe.data.names(), made(library(table.text, progress)), recipe.slices, _ROUNDS).facts
    found |= {"model": recipe.model.name, "split": split}
    found["hard"] = hard_lines(recipe, table, made(library(table.text)))
    found["misread"] = misread_lines(recipe, table, made, library)
    return found


def hard_lines(recipe: TextRecipe, table: Lines, scores: Floats) -> dict[str, Any]:
    """Of each label, the share of hard negatives over the threshold that lets 5% of all negatives through."""
    told = {}
    hard = flags(table, recipe.hard)
    for place, name in enumerate(recipe.data.names()):
        truth, score = table.targets[:, place], scores[:, place]
        rows = hard & (truth == 0)
        negatives = score[truth == 0]
        if not rows.any():
            continue
        threshold = float(np.quantile(negatives, 1 - FALSE_POSITIVES[-1]))
        told[name] = {
            "lines": int(rows.sum()),
            "over_threshold": float((score[rows] > threshold).mean()),
            "over_half": float((score[rows] >= HALF).mean()),
        }
    return told


def misread_lines(recipe: TextRecipe, table: Lines, made: TextHeads, library: Library) -> dict[str, Any]:
    """AUC of some lines as they are and as text recognition might give them."""
    rows = np.sort(np.random.default_rng(recipe.seed).permutation(len(table))[:MISREAD])
    some = table.take(rows)
    noisy = misread(some, recipe.noise.strength, recipe.seed + 1)
    told = {}
    for place, name in enumerate(recipe.data.names()):
        pair = [made(library(one.text))[:, place] for one in (some, noisy)]
        clean, worse = (one_label(some.targets[:, place], score, _ROUNDS) for score in pair)
        if "auc" in clean:
            told[name] = {"auc": clean["auc"]["value"], "auc_misread": worse["auc"]["value"], "lines": len(some)}
    return told


def shown(facts: dict[str, Any]) -> str:
    """Tables for a terminal."""
    tables = [summary(facts)]
    for name, told in facts["hard"].items():
        tables.append(
            f"{name}: {told['over_threshold']:.1%} of {told['lines']} hard negatives over the threshold for 5% "
            f"false positives, {told['over_half']:.1%} over one half"
        )
    for name, told in facts["misread"].items():
        tables.append(f"{name}: AUC of {told['lines']} lines {told['auc']:.3f}, misread {told['auc_misread']:.3f}")
    return "\n".join([*tables, "", parts(facts, "slices"), "", parts(facts, "sources")])


def write(folder: Path, facts: dict[str, Any]) -> Path:
    """`report.json` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.json"
    file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return file
