"""The label tree: the one place that names what an image is judged by.

A model publishes which of these it scores and in which order (see `moderation.classifier`); a policy
sets thresholds on them. A label that a model does not score is *missing*, which is never read as 0.
"""

from typing import Final

SUB_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "violence": ("violence.weapon", "violence.fight", "violence.fire", "violence.blood"),
    "adult": ("adult.explicit", "adult.suggestive"),
    "political": ("political.protest", "political.campaign", "political.symbol"),
}
"""Each top label with its sub-labels. A sub-label is evidence for its top label; siblings may overlap."""

TOP_LABELS: Final[tuple[str, ...]] = tuple(SUB_LABELS)

LABELS: Final[tuple[str, ...]] = tuple(label for top, subs in SUB_LABELS.items() for label in (top, *subs))
"""Every known label, each top label before its own sub-labels."""


def top_label(label: str) -> str:
    """`violence.weapon` → `violence`; a top label is its own."""
    return label.partition(".")[0]
