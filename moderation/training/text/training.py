"""`adjudicate train` for a text recipe: lines → embeddings → heads → calibration → the folder that Triton reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.balance import balanced
from moderation.training.data.label_schema import holds
from moderation.training.data.pixels import Progress, silent
from moderation.training.fit import calibrate
from moderation.training.measure import metrics
from moderation.training.text import encoder, heads, lines, misreading
from moderation.training.text.encoder import Encode, Library
from moderation.training.text.heads import TextHeads
from moderation.training.text.lines import Lines
from moderation.training.text.text_recipe import TextRecipe

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Calibrated heads, and how they were made."""

    heads: TextHeads
    about: dict[str, Any]


def train(recipe: TextRecipe, work: Path, encode: Encode, progress: Progress = silent) -> Fitted:
    """Fit `recipe`. Raises ConfigurationError (a ManifestError with every bad row) before anything is embedded."""
    table = sampled(recipe, lines.read(recipe.lines, recipe.data))
    _refuse_untrainable(recipe, table)
    library = Library(work / "text", encode)
    chosen = with_misreadings(recipe, capped(recipe, table.part("train")))
    embeddings, weight = library(chosen.text, progress), weights(recipe, chosen)
    val = table.part("val")
    unseen = library(val.text, progress)
    fitted = [_fit_label(recipe, chosen, embeddings, weight, place) for place in range(len(recipe.data.labels))]
    raw = TextHeads(recipe.data.names(), np.stack([one[0] for one in fitted]), np.array([one[1] for one in fitted]))
    calibration = calibrate.fit(raw.logits(unseen), val.targets, val.source)
    made = TextHeads(
        raw.labels, raw.weight * calibration.slope[:, None], raw.bias * calibration.slope + calibration.offset
    )
    told = [one[2] for one in fitted]
    return Fitted(made, _about(recipe, chosen, val, raw.logits(unseen), told))


def _refuse_untrainable(recipe: TextRecipe, table: Lines) -> None:
    targets = table.part("train").targets
    for place, name in enumerate(recipe.data.names()):
        for kind, wanted in (("positive", 1), ("negative", 0)):
            if not (targets[:, place] == wanted).any():
                raise ConfigurationError(f"{recipe.lines}: label {name} has no {kind} in split train")


def sampled(recipe: TextRecipe, table: Lines) -> Lines:
    """The recipe's share of the lines of every split, and every hard one."""
    order = np.random.default_rng(recipe.seed).permutation(len(table))
    kept = flags(table, recipe.hard)
    kept[order[: round(recipe.share * len(table))]] = True
    return table.take(np.flatnonzero(kept))


def capped(recipe: TextRecipe, table: Lines) -> Lines:
    """At most `recipe.most` lines of each source, drawn by the seed; hard lines stay."""
    if not recipe.most:
        return table
    order = np.random.default_rng(recipe.seed).permutation(len(table))
    hard, count, kept = flags(table, recipe.hard), dict.fromkeys(table.source.tolist(), 0), []
    for row in order.tolist():
        source = str(table.source[row])
        if hard[row] or count[source] < recipe.most:
            kept.append(row)
            count[source] += 1
    return table.take(np.array(sorted(kept), np.intp))


def flags(table: Lines, where: dict[str, tuple[str, ...]]) -> NDArray[np.bool_]:
    """Which lines `where` holds for; none if it is empty."""
    facts = zip(*(table.facts[name].tolist() for name in where), strict=True) if where else [()] * len(table)
    return np.array([bool(where) and holds(where, dict(zip(where, one, strict=True))) for one in facts], np.bool_)


def with_misreadings(recipe: TextRecipe, table: Lines) -> Lines:
    """`table`, then misread copies of some of its lines."""
    rng = np.random.default_rng((recipe.seed, 1))
    rows = rng.choice(len(table), round(recipe.noise.share * len(table)))
    copies = misread(table.take(rows), recipe.noise.strength, recipe.seed)
    facts = {name: np.concatenate([values, copies.facts[name]]) for name, values in table.facts.items()}
    return Lines(
        (*table.text, *copies.text),
        np.concatenate([table.split, copies.split]),
        np.concatenate([table.source, copies.source]),
        np.concatenate([table.targets, copies.targets]),
        facts,
    )


def misread(table: Lines, strength: float, seed: int) -> Lines:
    """The same lines, each as text recognition might give it."""
    text = tuple(
        misreading.misread(one, strength, np.random.default_rng((seed, place))) for place, one in enumerate(table.text)
    )
    return Lines(text, table.split, table.source, table.targets, table.facts)


def weights(recipe: TextRecipe, table: Lines) -> Floats:
    """Weight of each line: of its source, times that of the last rule that holds."""
    weight = np.ones(len(table))
    for rule in recipe.weights:
        weight[flags(table, rule.where)] = rule.weight
    return np.asarray(weight * balanced(table.source, recipe.balance))


def _fit_label(
    recipe: TextRecipe, table: Lines, embeddings: Floats, weight: Floats, place: int
) -> tuple[Floats, float, dict[str, Any]]:
    """Weights, offset, and what each penalty reached on sources left out."""
    rows = ~np.isnan(table.targets[:, place])
    x, truth, w, source = embeddings[rows], table.targets[rows, place], weight[rows], table.source[rows]
    reached = {p: metrics.auc(truth, heads.left_out(x, truth, w, source, p)) for p in recipe.penalties}
    best = max(reached, key=lambda penalty: reached[penalty])
    told = {"penalty": best, "auc_on_sources_left_out": {str(p): round(value, 4) for p, value in reached.items()}}
    return *heads.fit_one(x, truth, w, best), told


def _about(recipe: TextRecipe, table: Lines, val: Lines, logits: Floats, told: list[dict[str, Any]]) -> dict[str, Any]:
    probabilities = calibrate.cross_fitted(logits, val.targets, val.source)
    errors = {}
    for place, name in enumerate(recipe.data.names()):
        known = ~np.isnan(val.targets[:, place])
        errors[name] = metrics.calibration_error(val.targets[known, place], probabilities[known, place])
    return {
        "recipe": recipe.portable(),
        "lines": len(table),
        "sources": sorted(set(table.source.tolist())),
        "labels": dict(zip(recipe.data.names(), told, strict=True)),
        "calibration_error_on_other_sources": errors,
        "encoder": f"{recipe.encoder}, {encoder.WIDTH} dimensions",
    }
