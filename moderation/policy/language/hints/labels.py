"""Labels by their leaf name, in the plural, in other spellings, and by what else they are called."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from moderation.documents.mistakes import nearest

_NICKNAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "violence": ("violent", "brutality", "aggression"),
    "violence.weapon": ("gun", "firearm", "arms", "knife", "rifle", "pistol", "sword"),
    "violence.fight": ("fighting", "brawl", "combat"),
    "violence.fire": ("flame", "burning", "explosion"),
    "violence.blood": ("bloody", "gore", "gory", "injury", "wound"),
    "adult": ("nsfw", "sexual", "sex", "18plus", "mature"),
    "adult.explicit": ("porn", "pornography", "nude", "nudity", "naked"),
    "adult.suggestive": ("sexy", "lingerie", "swimwear", "racy", "erotic"),
    "political": ("politics", "policy", "election", "govt"),
    "political.protest": ("protester", "demonstration", "demo", "rally", "riot"),
    "political.campaign": ("candidate", "poster", "election ad", "vote"),
    "political.symbol": ("flag", "emblem", "party logo"),
}
"""Other words for labels; those of labels that the catalogue does not hold are never proposed."""


def label_hint(word: str, known: Iterable[str]) -> str:
    """`weapons`, `violence/weapon`, `Gun` → did you mean 'violence.weapon'?"""
    labels = tuple(known)
    meant = _exactly(word, labels) or _nickname(word, labels)
    return f"did you mean '{meant}'?" if meant else nearest(word, labels)


def _exactly(word: str, labels: tuple[str, ...]) -> str | None:
    """A label in another spelling, or the leaf of exactly one."""
    wanted = _singulars(word)
    spelled = [label for label in labels if _key(label) in wanted]
    by_leaf = [label for label in labels if _key(label.rpartition(".")[2]) in wanted]
    return spelled[0] if spelled else by_leaf[0] if len(by_leaf) == 1 else None


def _nickname(word: str, labels: tuple[str, ...]) -> str | None:
    """By the whole word, else by its last part: `weapons.guns`."""
    for text in (word, re.split(r"[./:_\s-]", word.strip())[-1]):
        wanted = _singulars(text)
        for label, names in _NICKNAMES.items():
            meant = label if label in labels else label.partition(".")[0]
            if meant in labels and not wanted.isdisjoint(map(_key, (label.rpartition(".")[2], *names))):
                return meant
    return None


def _singulars(word: str) -> set[str]:
    key = _key(word)
    endings = (("ies", "y"), ("ves", "fe"), ("es", ""), ("s", ""))
    return {key, *(key[: -len(end)] + single for end, single in endings if key.endswith(end))}


def _key(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()
