"""The model card that travels with a model: what it is for, what it saw, how good it is, where it fails."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from moderation.training.data.dataset import Dataset
from moderation.training.recipe import Recipe

_TEMPLATE: Final = Path(__file__).with_name("card.md.tmpl")


def write(recipe: Recipe, data: Dataset, about: dict[str, Any], served: dict[str, str]) -> Path:
    """`MODEL_CARD.md` in the recipe's model folder.

    `about` is the checkpoint's, `served` gives `labels`, `precision` and the `summary` of an evaluation.
    """
    licences = data.facts.get("licence", np.full(len(data), ""))
    train = data.split == "train"
    counts = Counter(zip(data.source[train].tolist(), licences[train].tolist(), strict=True))
    rows = [f"| {source} | {count} | {told or 'not stated'} |" for (source, told), count in sorted(counts.items())]
    text = _TEMPLATE.read_text(encoding="utf-8").format(
        name=recipe.name,
        version=recipe.version,
        images=about["images"]["train"],
        sources=len(about["sources"]),
        leaks=about["near_duplicates_left_out"],
        skipped=len(about["skipped"]),
        table="\n".join(rows),
        **served,
    )
    path = recipe.model / "MODEL_CARD.md"
    path.write_text(text, encoding="utf-8")
    return path
