"""The shipped label catalogue, as tests name it."""

from moderation.labels import TIERS, Cut, LabelCatalogue, shipped_catalogue

CATALOGUE: LabelCatalogue = shipped_catalogue()
LABELS = CATALOGUE.names
TOP_LABELS = CATALOGUE.top_names


def cut(label: str, tier: str) -> Cut:
    """What a tier means for a label."""
    return CATALOGUE.by_name[label].tiers[tier]


__all__ = ["CATALOGUE", "LABELS", "TIERS", "TOP_LABELS", "cut"]
