"""`adjudicate evaluate` and `adjudicate export`: from folders and files to the pure parts and back."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moderation.errors import ConfigurationError
from moderation.labels import LabelCatalogue
from moderation.training.data import dataset
from moderation.training.data.label_schema import Schema
from moderation.training.data.pixels import Decoded, Progress, decode, silent
from moderation.training.fit import checkpoint
from moderation.training.graph import served
from moderation.training.graph.assemble import assemble
from moderation.training.graph.export import export
from moderation.training.measure import card
from moderation.training.measure import evaluation_report as report
from moderation.training.measure.evaluate import evaluate
from moderation.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Examined:
    """Where a report lies, and what a terminal shows of it."""

    machine: Path
    people: Path
    summary: str


def examine(recipe: Recipe, model: Path, split: str, out: Path, progress: Progress = silent) -> Examined:
    """Report on the served graph in `model`. Raises ConfigurationError for what cannot be read."""
    graph = served.open_model(model)
    schema = _published(recipe, graph.labels)
    data = _part(recipe.manifest, schema, split)
    with tempfile.TemporaryDirectory() as folder:
        decoded = decode(data, graph.size, Path(folder) / "pixels.npy", progress)
        answers = graph(decoded.pixels, progress)
        found = evaluate(decoded.data, schema.names(), answers.scores, recipe.slices)
        found.facts.update(_about(model, recipe.manifest, split, decoded))
        found.facts["uncertainty"] = _uncertainty(answers)
        machine, people = report.write(out, found, schema.names(), answers.scores, decoded)
    tables = (summary(found.facts), parts(found.facts, "slices"), parts(found.facts, "sources"))
    return Examined(machine, people, "\n\n".join(tables))


def _published(recipe: Recipe, labels: tuple[str, ...]) -> Schema:
    """The recipe's labels in the order in which the model publishes them."""
    known = {label.name: label for label in (*recipe.data.labels, *recipe.also)}
    if absent := [name for name in labels if name not in known]:
        raise ConfigurationError(f"the recipe says nothing of {', '.join(absent)}, which the model scores")
    return Schema(labels=tuple(known[name] for name in labels))


def _part(manifest: Path, schema: Schema, split: str) -> dataset.Dataset:
    data = dataset.read(manifest, schema)
    rows = np.flatnonzero(data.split == split)
    if not len(rows):
        raise ConfigurationError(f"{manifest}: no row is in split {split!r}")
    return data.take(rows)


def _about(model: Path, manifest: Path, split: str, decoded: Decoded) -> dict[str, Any]:
    return {
        "model": model.name,
        "manifest": manifest.name,
        "split": split,
        "skipped": [{"path": one.path.name, "reason": one.reason} for one in decoded.skipped],
    }


def _uncertainty(answers: served.Answers) -> dict[str, float]:
    points = np.quantile(answers.uncertainty, (0.5, 0.95, 0.99))
    return {"median": float(points[0]), "95%": float(points[1]), "99%": float(points[2])}


def summary(facts: dict[str, Any]) -> str:
    """A table for a terminal."""
    heads = ("pos", "neg", "AP", "AUC", "R@1%", "R@5%", "ECE", "FA@.5")
    lines = [f"{'label':18s} " + " ".join(f"{head:>{5 if place < 2 else 6}s}" for place, head in enumerate(heads))]  # noqa: PLR2004
    for name, told in facts["labels"].items():
        counts = f"{name:18s} {told['positives']:5d} {told['negatives']:5d}"
        alarms = f"{told.get('false_alarms_at_half', float('nan')):6.3f}"
        if "refused" in told:
            lines.append(f"{counts} {told['refused']}; false alarms at 0.5: {alarms}")
            continue
        low, high = (point["recall"]["value"] for point in told["operating_points"])
        numbers = (told["average_precision"]["value"], told["auc"]["value"], low, high, told["calibration_error"])
        lines.append(f"{counts} {' '.join(f'{number:6.3f}' for number in numbers)} {alarms}")
    return "\n".join(lines)


def parts(facts: dict[str, Any], kind: str) -> str:
    """A table of one `kind` of parts ("slices" or "sources") of each label that has positives there."""
    lines = [f"{'label':20s} {kind[:-1]:26s}   pos   neg    AUC [95%]            R@5%  found  FA@.5"]
    for name, told in facts["labels"].items():
        shown = {place: one for place, one in told[kind].items() if one["positives"] or kind == "slices"}
        lines += [f"{name:20s} {place:26s} {_part_line(one)}" for place, one in shown.items()]
    return "\n".join(lines)


def _part_line(one: dict[str, Any]) -> str:
    between = "[{:.3f}, {:.3f}]".format(*one["auc_interval"]) if "auc_interval" in one else ""
    cells = [
        f"{one[key]:6.3f}" if key in one else "     –" for key in ("recall", "found_at_half", "false_alarms_at_half")
    ]
    auc = f"{one['auc']:6.3f}" if "auc" in one else "     –"
    return f"{one['positives']:5d} {one['negatives']:5d} {auc} {between:16s} {' '.join(cells)}"


def export_checkpoint(recipe: Recipe, work: Path, labels: LabelCatalogue, progress: Progress = silent) -> str:
    """Export WORK/checkpoint into the recipe's model folder, assemble it, measure it and write its card."""
    trained = checkpoint.load(work / "checkpoint")
    data = dataset.read(recipe.manifest, recipe.data)
    if absent := set(trained.about["sources"]) - set(data.source.tolist()):
        raise ConfigurationError(
            f"{work / 'checkpoint'}: trained on sources that {recipe.manifest} does not hold "
            f"({', '.join(sorted(absent))}); export with the --manifest it was trained with"
        )
    with tempfile.TemporaryDirectory() as folder:
        rows = data.take(np.flatnonzero(data.split == "val"))
        decoded = decode(rows, recipe.size, Path(folder) / "pixels.npy", progress)
        told = export(trained, recipe, decoded.pixels, decoded.data.targets, labels)
        path = assemble(recipe.model)
        numbers = _measure(recipe, decoded, progress)
    precision = "fp32" if not told["int8"] else f"int8 in {' and '.join(told['int8'])}, fp32 elsewhere"
    published = card.Published(told["labels"], labels.names, precision, numbers)
    card.write(recipe, data, trained.about, published)
    gates = "\n".join(
        f"int8 of {name}: AP lost {gate['precision_lost']:.4f}, decisions flipped {gate['flipped']:.4f}"
        for name, gate in told["gates"].items()
    )
    return f"{gates}\nwrote {path} ({precision})\n{numbers}"


def _measure(recipe: Recipe, decoded: Decoded, progress: Progress) -> str:
    """The table of `evaluate` for the trained labels, from the assembled graph."""
    graph = served.open_model(recipe.model)
    own = [graph.labels.index(name) for name in recipe.data.names()]
    scores = graph(decoded.pixels, progress).scores[:, own]
    return summary(evaluate(decoded.data, recipe.data.names(), scores, {}).facts)
