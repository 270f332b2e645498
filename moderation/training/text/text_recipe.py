"""Everything that decides what text model `adjudicate train` makes: one YAML file with `kind: text`."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from moderation.training.data.label_schema import Schema, Strict, Where
from moderation.training.recipe import read_strictly


class Emphasis(Strict):
    """Lines that weigh more or less than others: the last rule that holds sets the weight."""

    where: Where
    weight: float = Field(gt=0)


class Noise(Strict):
    """Misread copies of training lines.

    share:    copies beside the lines, as a share of them.
    strength: expected share of characters that a copy has wrong.
    """

    share: float = Field(0.0, ge=0, le=2)
    strength: float = Field(0.06, gt=0, lt=0.5)


class TextRecipe(Strict):
    """One text model.

    lines:    table of labelled lines; see `lines.read`.
    share:    of all lines, drawn by the seed; those of `hard` all take part. An encoder is slow.
    most:     lines of one source that take part in training; 0 for all.
    balance:  training lines of one source that weigh in full; in a larger one of n, each weighs √(balance/n) of that.
    penalties: L2 on the weights of heads over standardised embeddings; the best on training sources left out is taken.
    hard:     lines that are negatives in the words of positives: the report shows them apart.
    """

    kind: Literal["text"]
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str
    lines: Path
    model: Path = Field(description="Folder of the model in the Triton repository.")
    seed: int = 0
    encoder: Literal["multilingual-e5-small-q4"] = "multilingual-e5-small-q4"
    data: Schema
    share: float = Field(1.0, gt=0, le=1)
    most: int = Field(0, ge=0)
    balance: int = Field(0, ge=0)
    weights: tuple[Emphasis, ...] = ()
    noise: Noise = Noise()
    penalties: tuple[float, ...] = Field((1e-4, 1e-3, 1e-2), min_length=1)
    hard: Where = Field({})
    slices: dict[str, Where] = Field({})
    limits: tuple[str, ...] = Field((), description="Known failures, for the model card.")

    @model_validator(mode="after")
    def _has_binary_labels(self) -> Self:
        if others := [label.name for label in self.data.labels if label.kind != "binary" or label.group]:
            raise ValueError(f"text labels are yes or no, without groups: {', '.join(others)}")
        return self

    def portable(self) -> dict[str, Any]:
        """What was decided, without where it lay on this machine."""
        return self.model_dump(mode="json", exclude={"lines", "model"})


def is_text(path: Path) -> bool:
    """Whether the recipe in `path` says `kind: text`; an unreadable one is left to `read` to refuse."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and content.get("kind") == "text"


def read(path: Path, lines: Path | None = None) -> TextRecipe:
    """The recipe in `path`, its paths made absolute; with `lines` in place of the recipe's.

    Raises ConfigurationError naming every mistake.
    """
    recipe = read_strictly(path, TextRecipe)
    folder = path.parent
    places = {"lines": (lines or folder / recipe.lines).resolve(), "model": (folder / recipe.model).resolve()}
    return recipe.model_copy(update=places)
