"""Everything that decides what `adjudicate train` makes: one YAML file and a seed."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from moderation.errors import ConfigurationError
from moderation.training.schema import Label, Schema, Strict, Where


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
    drawn: Drawn = Drawn()


class Fit(Strict):
    """How heads are fitted on frozen features, and how the network is moved after that.

    penalty: L2 on the weights of heads over standardised features.
    steps:   batches of fine-tuning; 0 keeps the backbone as published.
    """

    penalty: float = Field(0.03, ge=0)
    steps: int = Field(0, ge=0)
    batch: int = Field(32, ge=2)
    rate: float = Field(2e-5, gt=0)
    head_rate: float = Field(1e-4, gt=0)
    decay: float = Field(0.01, ge=0)
    smoothing: float = Field(0.02, ge=0, lt=0.5)
    dropout: float = Field(0.2, ge=0, lt=1)


class Recipe(Strict):
    """One model.

    cut: the first `cut` blocks of the backbone stay as published; 0 moves every weight.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str
    manifest: Path
    model: Path = Field(description="Folder of the model in the Triton repository, written by export.")
    seed: int = 0
    backbone: str = "efficientnet-lite0"
    size: int = Field(224, ge=32)
    cut: int = Field(0, ge=0, le=30)
    embedding: int = Field(256, ge=8, le=1280)
    data: Schema
    also: tuple[Label, ...] = Field((), description="Labels of another tower: evaluated, not trained.")
    slices: dict[str, Where] = Field({}, description="Named parts of a manifest that a report shows apart.")
    rows: tuple[Weight, ...] = ()
    views: Views = Views()
    fit: Fit = Fit()


def read(path: Path) -> Recipe:
    """The recipe in `path`, its paths made absolute. Raises ConfigurationError naming every mistake."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(content)
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc.strerror})") from exc
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path}: is not YAML: {exc}") from exc
    except ValidationError as exc:
        listing = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigurationError(f"{path}: {exc.error_count()} mistakes\n{listing}") from exc
    return _placed(recipe, path.parent)


def _placed(recipe: Recipe, folder: Path) -> Recipe:
    """Relative paths are relative to the recipe."""
    return recipe.model_copy(
        update={
            "manifest": (folder / recipe.manifest).resolve(),
            "model": (folder / recipe.model).resolve(),
        }
    )
