"""Everything that decides what `adjudicate train` makes: one YAML file and a seed."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from moderation.errors import ConfigurationError
from moderation.training.data.label_schema import Label, Schema, Strict, Where

AnyRecipe = TypeVar("AnyRecipe", bound=Strict)


class Weight(Strict):
    """Rows that count less or more, and how many views of each are drawn."""

    where: Where
    weight: float = Field(1.0, gt=0)
    views: int | None = Field(None, ge=0, description="Empty keeps the default.")


class Drawn(Strict):
    """How many synthetic images are drawn, by kind."""

    pages: int = Field(0, ge=0)
    banners: int = Field(0, ge=0)
    placards: int = Field(0, ge=0)
    positive: str = Field("", description="The label that placards show; empty draws none.")


class Views(Strict):
    """How a data set is multiplied."""

    each: int = Field(3, ge=0, description="Views drawn of every training image beside itself.")
    paste: float = Field(0.25, ge=0, le=1, description="Share pasted, smaller, on other images and pages.")
    caption: float = Field(0.1, ge=0, le=1, description="Share with commercial words across.")
    side: int = Field(0, ge=0, description="Pixels of a view, where that is more than any network is shown.")
    drawn: Drawn = Drawn()


class Teacher(Strict):
    """A published network that looks at every view once, in training; it is never served.

    backbone: one of the packages that `Recipe.backbone` names.
    graph:    or an ONNX file with one input `[B,3,size,size] float32` RGB, or channels last.
    output:   the features of `graph`.
    pixels:   what `graph` was trained on: x/255 (`unit`) or x/127.5 − 1 (`symmetric`).
    credit:   what the model card calls it, and its licence.
    """

    backbone: str = ""
    graph: Path | None = None
    output: str = "features"
    size: int = Field(224, ge=32)
    pixels: Literal["unit", "symmetric"] = "symmetric"
    credit: str = ""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.backbone) == bool(self.graph):
            raise ValueError("a teacher is either a backbone or a graph")
        return self


class Start(Strict):
    """The tower of an earlier version of this model, whose convolutions training begins with.

    graph:  its `towers/brand.onnx`, of the same backbone.
    credit: what the model card says of it.
    heads:  its share in the heads of labels that both have (Wortsman et al. 2022); 0 fits heads anew.
    """

    graph: Path
    credit: str = Field(min_length=1)
    heads: float = Field(0.0, ge=0, lt=1)


class Fit(Strict):
    """How heads are fitted on frozen features, and how the network is moved after that.

    penalty:  L2 on the weights of heads over standardised features.
    epochs:   how often every view is seen in fine-tuning; 0 keeps the backbone as published.
    truth:    with teachers, the share of the manifest's own labels beside the teachers' answer.
    taught:   with teachers, the labels they answer for; the network's own heads answer for the others. Empty: all.
    features: with teachers, the weight of giving their features too, beside their answers.
    prior:    weight of what draws calibration to training (see `calibrate`): more where validation has a larger share
              of positives than what will be scored.
    int8:     compute what moves as int8 will, feed it what int8 gives, and keep int8's weights in the end, so that it
              is as good when it is served so.
    """

    penalty: float = Field(0.03, ge=0)
    epochs: float = Field(0, ge=0)
    batch: int = Field(64, ge=2)
    rate: float = Field(2e-4, gt=0)
    head_rate: float = Field(5e-4, gt=0)
    decay: float = Field(0.02, ge=0)
    smoothing: float = Field(0.02, ge=0, lt=0.5)
    dropout: float = Field(0.2, ge=0, lt=1)
    truth: float = Field(0.3, ge=0, le=1)
    taught: tuple[str, ...] = ()
    features: float = Field(1.0, ge=0)
    prior: float = Field(0.1, ge=0)
    int8: bool = False


class Recipe(Strict):
    """One model.

    cut: the first `cut` blocks of the backbone stay as published, and what they give is computed once;
         0 moves every weight.
    balance: training images of one source that weigh in full; in a source of n, more than those, each weighs
             √(balance/n) of that. 0 weighs every image alike.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str
    manifest: Path
    model: Path = Field(description="Folder of the model in the Triton repository, written by export.")
    seed: int = 0
    backbone: str = "efficientnet-lite0"
    start: Start | None = None
    size: int = Field(224, ge=32)
    cut: int = Field(0, ge=0, le=30)
    embedding: int = Field(256, ge=8, le=1280)
    teachers: tuple[Teacher, ...] = ()
    data: Schema
    also: tuple[Label, ...] = Field((), description="Labels of another tower: evaluated, not trained.")
    slices: dict[str, Where] = Field({}, description="Named parts of a manifest that a report shows apart.")
    limits: tuple[str, ...] = Field((), description="Known failures, one sentence or two each, for the model card.")
    balance: int = Field(0, ge=0)
    rows: tuple[Weight, ...] = ()
    views: Views = Views()
    fit: Fit = Fit()

    @model_validator(mode="after")
    def _teaches_its_labels(self) -> Self:
        if unknown := set(self.fit.taught) - set(self.data.names()):
            raise ValueError(f"fit.taught names no label of this recipe: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _keeps_heads_of_its_own_features(self) -> Self:
        if self.start and self.start.heads and self.fit.epochs:
            raise ValueError("start.heads read features that fit.epochs would move")
        return self

    @property
    def side(self) -> int:
        """Of the views that are drawn, in pixels: no network gets fewer than it was made for."""
        return max(self.size, *(teacher.size for teacher in self.teachers), self.views.side)

    def portable(self) -> dict[str, Any]:
        """What was decided, without where it lay on this machine: of a teacher's graph only the file's name."""
        told = self.model_dump(mode="json", exclude={"manifest", "model"})
        for teacher, shown in zip(self.teachers, told["teachers"], strict=True):
            shown["graph"] = teacher.graph and teacher.graph.name
        if self.start:
            told["start"]["graph"] = self.start.graph.name
        return told


def read(path: Path, manifest: Path | None = None) -> Recipe:
    """The recipe in `path`, its paths made absolute; with `manifest` in place of the recipe's.

    Raises ConfigurationError naming every mistake.
    """
    return _placed(read_strictly(path, Recipe), path.parent, manifest)


def read_strictly(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """A recipe of that kind as it is written. Raises ConfigurationError naming every mistake."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc.strerror})") from exc
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path}: is not YAML: {exc}") from exc
    except ValidationError as exc:
        listing = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigurationError(f"{path}: {exc.error_count()} mistakes\n{listing}") from exc


def _placed(recipe: Recipe, folder: Path, manifest: Path | None) -> Recipe:
    """Relative paths are relative to the recipe."""
    taught = [one.model_copy(update={"graph": one.graph and (folder / one.graph).resolve()}) for one in recipe.teachers]
    start = recipe.start and recipe.start.model_copy(update={"graph": (folder / recipe.start.graph).resolve()})
    return recipe.model_copy(
        update={
            "start": start,
            "teachers": tuple(taught),
            "manifest": (manifest or folder / recipe.manifest).resolve(),
            "model": (folder / recipe.model).resolve(),
        }
    )
