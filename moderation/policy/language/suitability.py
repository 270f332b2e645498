"""Suitability tiers: the one published table from a tier's name to thresholds per top label."""

from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import yaml

from moderation.labels import TOP_LABELS

TIERS: Final = ("floor", "high", "medium", "low")
"""From the most tolerant to the strictest: each names the mildest risk that is kept away."""


class Suitability(NamedTuple):
    """The table: `tiers[tier][label]` is `{"review": …, "block": …}`."""

    version: str
    tiers: dict[str, dict[str, dict[str, Any]]]


@cache
def table() -> Suitability:
    """The table as published in `data/suitability.yaml`."""
    text = files("moderation.policy.language").joinpath("suitability.yaml").read_text("utf-8")
    data = yaml.safe_load(text)
    return Suitability(data["version"], data["tiers"])


def cuts(tier: str, label: str) -> dict[str, Any]:
    """Thresholds of one top label in one tier."""
    return dict(table().tiers[tier][label])


__all__ = ["TIERS", "TOP_LABELS", "Suitability", "cuts", "table"]
