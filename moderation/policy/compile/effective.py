"""The effective policy: organisation → client → campaign laid over one another, each value with its origin.

Within one place of a policy the nearer file wins. Between places the more specific wins: a surface in a
market over the market, the market over the surface, the surface over the policy's own thresholds.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from moderation.events import PolicyStamp, Surface, Verdict
from moderation.labels import DEFAULT_SOURCES, LabelCatalogue
from moderation.policy.compile.lists import DigestSet, HashBank
from moderation.policy.language.expressions import Expression
from moderation.policy.language.moments import DEFAULT_ZONE
from moderation.policy.language.schema import NEVER, PolicyFile, Political

ENGINE_VERSION: Final = 2
"""Raised when the same policy would decide differently under a newer release; part of every policy hash."""
_OWN_KEYS: Final = {"organisation", "campaign", "extends", "shadow", "description"}
LeafPath = tuple[str, ...]


class Origin(NamedTuple):
    """Where a value of an effective policy was written, and through which tier if it was one."""

    file: str
    line: int
    column: int
    via: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" (suitability {self.via})" if self.via else "")


class Leaf(NamedTuple):
    value: Any
    origin: Origin


Leaves = dict[LeafPath, Leaf]


class Limit(NamedTuple):
    """One threshold in force: which rule it is and where it was written."""

    rule: str
    threshold: float
    origin: Origin


Limits = dict[tuple[str, Verdict], Limit]
"""Thresholds in force at one surface and market, by label and verdict; those that never fire are left out."""


class NamedList(NamedTuple):
    """One list of an effective policy, e.g. block × adomain."""

    verdict: Verdict
    kind: str
    entries: tuple[str, ...]
    sets: tuple[tuple[str, DigestSet], ...]
    bank: HashBank | None

    @property
    def rule(self) -> str:
        return f"lists.{self.verdict.value}.{self.kind}"


@dataclass(frozen=True, slots=True, eq=False)
class EffectivePolicy:
    """One policy with everything it inherits: what decides.

    settings:    the merged policy.
    leaves:      every value in force by path, with its origin.
    files:       the policy's own file first, then its parents', then list files.
    expressions: compiled rules by name.
    labels:      the catalogue that the policy was read with.
    """

    settings: PolicyFile
    leaves: Leaves
    file: str
    files: tuple[str, ...]
    limits: Mapping[tuple[Surface, str | None], Limits]
    lists: tuple[NamedList, ...]
    expressions: Mapping[str, Expression]
    hash: str
    labels: LabelCatalogue
    _named: dict[tuple[Surface, str | None], tuple[str, ...]] = field(default_factory=dict)

    @property
    def client(self) -> str:
        return self.settings.client or ""

    @property
    def campaign(self) -> str | None:
        return self.settings.campaign

    @property
    def shadow(self) -> bool:
        return self.settings.shadow

    @property
    def key(self) -> str:
        """`client`, or `client/campaign`."""
        return f"{self.client}/{self.campaign}" if self.campaign else self.client

    @property
    def version(self) -> str:
        return self.settings.version or "unversioned"

    @property
    def stamp(self) -> PolicyStamp:
        return PolicyStamp(client=self.key, version=self.version, hash=self.hash)

    def limits_at(self, surface: Surface, country: str | None) -> Limits:
        """Thresholds in force on a surface in a country (alpha-2, or None where unknown)."""
        found = self.limits.get((surface, country))
        return self.limits[surface, None] if found is None else found

    def named_labels(self, surface: Surface, country: str | None) -> tuple[str, ...]:
        """Labels whose absence matters, in label order: those with a threshold in force, and `political` where
        the political section goes by its score. The absence of an announced label never matters."""
        place = (surface, country)
        if place not in self._named:
            needs = {label for label, _ in self.limits_at(surface, country)}
            if self.settings.political and political_threshold(self.settings.political, country) < NEVER:
                needs.add("political")
            needs -= self.labels.announced_names
            self._named[place] = tuple(label for label in self.labels.names if label in needs)
        return self._named[place]

    def written_in(self, rule: str) -> Origin | None:
        """Where what a rule answers was written: the first value under the longest part of its name that is one."""
        path = tuple(rule.split("."))
        while path:
            if found := [leaf for at, leaf in sorted(self.leaves.items()) if at[: len(path)] == path]:
                return found[0].origin
            path = path[:-1]
        return None

    def printable(self) -> list[tuple[str, str, str]]:
        """Every value in force as (path, value, origin), in reading order."""
        written = [(path, _readable(leaf.value), str(leaf.origin)) for path, leaf in self.leaves.items()]
        return [(".".join(path), value, origin) for path, value, origin in sorted([*written, *self._default_zones()])]

    def _default_zones(self) -> Iterator[tuple[LeafPath, str, str]]:
        """A blackout without a time zone is in UTC, which an author may not expect."""
        for name in self.settings.political.blackouts if self.settings.political else ():
            path = ("political", "blackouts", name, "time_zone")
            if path not in self.leaves:
                yield path, DEFAULT_ZONE, "default"


def political_threshold(political: Political, country: str | None) -> float:
    """The score from which an image counts as political in a country; NEVER where only declarations count."""
    local = political.countries.get(country or "")
    threshold = local.threshold if local and local.threshold is not None else political.threshold
    return NEVER if threshold is None else threshold


def own_leaves(policy: PolicyFile, origin: Mapping[LeafPath, Origin], labels: LabelCatalogue) -> Leaves:
    """A file's values by path, tiers spelled out as their thresholds."""
    written = policy.model_dump(exclude_unset=True, by_alias=True)
    leaves: Leaves = {}
    for path, value in _flatten(written, ()):
        leaves[path] = Leaf(value, origin.get(path) or _nearest(origin, path))
    return {**_from_tiers(leaves, labels), **leaves}


def _nearest(origin: Mapping[LeafPath, Origin], path: LeafPath) -> Origin:
    while path and path not in origin:
        path = path[:-1]
    return origin[path]


def _flatten(value: Any, path: LeafPath) -> Iterator[tuple[LeafPath, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, (*path, str(key)))
    elif value != {}:
        yield path, value


def _from_tiers(leaves: Leaves, labels: LabelCatalogue) -> Leaves:
    out: Leaves = {}
    for path, leaf in leaves.items():
        if path[-2:-1] == ("suitability",):
            cut, origin = labels.by_name[path[-1]].tiers[leaf.value], leaf.origin._replace(via=leaf.value)
            out[*path[:-2], "thresholds", path[-1], Verdict.REVIEW.value] = Leaf(cut.review, origin)
            out[*path[:-2], "thresholds", path[-1], Verdict.BLOCK.value] = Leaf(cut.block, origin)
    return out


def inherit(parent: Leaves, child: Leaves) -> Leaves:
    """The child's values over the parent's; entries of lists are added, everything else is replaced."""
    merged = {path: leaf for path, leaf in parent.items() if path[0] not in _OWN_KEYS}
    for path, leaf in child.items():
        before = merged.get(path)
        if before and path[0] == "lists" and path[-1] in {"entries", "files"}:
            merged[path] = Leaf(tuple(dict.fromkeys((*before.value, *leaf.value))), leaf.origin)
        else:
            merged[path] = leaf
    return merged


def nested(leaves: Leaves) -> dict[str, Any]:
    """Leaves as the nested mapping that the schema validates."""
    out: dict[str, Any] = {}
    for path, leaf in leaves.items():
        at = out
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = leaf.value
    return out


def resolve_limits(
    policy: PolicyFile, leaves: Leaves, labels: LabelCatalogue
) -> dict[tuple[Surface, str | None], Limits]:
    """Thresholds in force at every surface, and at every surface of every market that differs."""
    places: list[tuple[Surface, str | None]] = [(surface, None) for surface in Surface]
    places += [(surface, country) for surface in Surface for country in policy.markets]
    return {(surface, country): _limits(leaves, labels.names, surface, country) for surface, country in places}


def _limits(leaves: Leaves, labels: Iterable[str], surface: Surface, country: str | None) -> Limits:
    layers: list[tuple[str, LeafPath]] = [("", ()), ("", ("surfaces", surface.value))]
    if country:
        market = f"markets.{country}."
        layers += [(market, ("markets", country)), (market, ("markets", country, "surfaces", surface.value))]
    limits: Limits = {}
    for prefix, layer in layers:
        for verdict in (Verdict.BLOCK, Verdict.REVIEW):
            for label in labels:
                if leaf := leaves.get((*layer, "thresholds", label, verdict.value)):
                    rule = f"{prefix}thresholds.{surface.value}.{label}.{verdict.value}"
                    limits[label, verdict] = Limit(rule, leaf.value, leaf.origin)
    return limits


def firing(limits: Limits, labels: LabelCatalogue) -> Limits:
    """Without those that never fire, blocks first, then in label order: the order in which reasons are given."""
    order = [(label, verdict) for verdict in (Verdict.BLOCK, Verdict.REVIEW) for label in labels.names]
    return {key: limits[key] for key in order if key in limits and limits[key].threshold != NEVER}


def policy_hash(leaves: Leaves, list_hashes: Mapping[str, str], labels: LabelCatalogue) -> str:
    """sha256 over the effective values, the lists' contents and the tier table; not over paths or comments.

    Of the catalogue it holds what changes this policy's answers: the tier table, and of the labels that it limits
    which ones are announced and how other sources than the default are joined. Another label in the catalogue leaves
    the hash as it was.
    """
    content = {
        "engine": ENGINE_VERSION,
        "suitability": labels.suitability,
        "values": {
            "\x1f".join(path): _plain(leaf.value)
            for path, leaf in leaves.items()
            if path[0] not in {"extends", "description"} and path[-1] != "files"
        },
        "lists": dict(list_hashes),
    }
    limited = {path[-2] for path in leaves if path[-3:-2] == ("thresholds",)}
    limited |= {path[0] for path in leaves if path[0] == "political"}
    if announced := sorted(limited & labels.announced_names):
        content["announced"] = announced
    if joined := _joinings(leaves, limited, labels):
        content["joined"] = joined
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _joinings(leaves: Leaves, limited: AbstractSet[str], labels: LabelCatalogue) -> list[list[object]]:
    """How sources are joined, of the labels that a policy limits and their parts; of all where a rule reads scores.

    Another joining gives another answer to the same evidence.
    """
    rules = (str(leaf.value) for path, leaf in leaves.items() if path[0] == "rules" and path[-1] == "when")
    reads_any = any("scores" in rule for rule in rules)
    return [
        [label.name, list(label.sources), label.joining.value]
        for label in labels.labels
        if label.sources != DEFAULT_SOURCES and (reads_any or limited & {label.name, *label.wholes})
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return "never" if value == NEVER else value
    if isinstance(value, datetime):
        return value.isoformat()
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _readable(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
