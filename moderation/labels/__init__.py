"""Labels are data: `read_catalogue` reads a file, `shipped_catalogue` the one in this folder."""

from moderation.labels.catalogue import (
    DEFAULT_SOURCES,
    NO_LABELS,
    TIERS,
    Cut,
    Joining,
    Kind,
    Label,
    LabelCatalogue,
    LabelTerms,
    State,
    top_label,
)
from moderation.labels.reading import CatalogueMistakes, read_catalogue, shipped_catalogue

__all__ = [
    "DEFAULT_SOURCES",
    "NO_LABELS",
    "TIERS",
    "CatalogueMistakes",
    "Cut",
    "Joining",
    "Kind",
    "Label",
    "LabelCatalogue",
    "LabelTerms",
    "State",
    "read_catalogue",
    "shipped_catalogue",
    "top_label",
]
