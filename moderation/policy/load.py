"""From a folder of policy files to a checked set: all files, all mistakes, at once."""

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.documents.mistakes import Mistake, PolicyMistakes, nearest
from moderation.documents.source import Source, parse, read
from moderation.events import Verdict
from moderation.labels import LabelCatalogue, shipped_catalogue
from moderation.policy.compile.effective import (
    EffectivePolicy,
    Leaf,
    LeafPath,
    Leaves,
    Limits,
    Origin,
    firing,
    inherit,
    nested,
    own_leaves,
    policy_hash,
    resolve_limits,
)
from moderation.policy.compile.list_files import ListReader
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.engine.routing import as_compared
from moderation.policy.folder import policy_files
from moderation.policy.language.expressions import compile_expression
from moderation.policy.language.schema import PolicyFile, policy_file
from moderation.policy.language.validate import validate


@dataclass(slots=True)
class _File:
    """One policy file, parsed and validated."""

    source: Source
    path: Path
    policy: PolicyFile | None

    @property
    def name(self) -> str:
        """Its name in `extends`; empty where it cannot be extended."""
        if not self.policy or self.policy.shadow or self.policy.campaign:
            return ""
        return self.policy.organisation or self.policy.client or ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a folder holds: the policies that could go live, and every mistake of the others."""

    policies: tuple[EffectivePolicy, ...]
    mistakes: tuple[Mistake, ...]
    files: tuple[str, ...]


def load(directory: Path, labels: LabelCatalogue | None = None) -> PolicySet:
    """Every policy of a folder. Raises PolicyMistakes (a PolicyError) with every mistake of every file.

    labels: what policies may name; the shipped catalogue if not given.
    """
    examination = examine(directory, labels)
    if examination.mistakes:
        raise PolicyMistakes(examination.mistakes)
    return PolicySet(examination.policies)


def examine(directory: Path, labels: LabelCatalogue | None = None) -> Examination:
    """Check a folder without raising: the good policies and all mistakes."""
    labels = labels or shipped_catalogue()
    files = [_checked(read(path, str(path)), path, labels) for path in policy_files(directory)]
    if not files:
        problem = "no policy files here" if directory.is_dir() else "there is no such folder"
        nothing = Mistake(str(directory), 0, 0, "", problem, "a folder with one YAML file per client")
        return Examination((), (nothing,), ())
    return _resolve(files, directory, labels)


def examine_text(texts: Mapping[str, str], directory: Path, labels: LabelCatalogue | None = None) -> Examination:
    """As `examine`, for policies that are not on disk (by file name); list files are read below `directory`."""
    labels = labels or shipped_catalogue()
    files = [_checked(parse(text, name), directory / name, labels) for name, text in texts.items()]
    return _resolve(files, directory, labels)


def _checked(source: Source, path: Path, labels: LabelCatalogue) -> _File:
    return _File(source, path, validate(source, labels))


def _resolve(files: Sequence[_File], directory: Path, labels: LabelCatalogue) -> Examination:
    _refuse_twins(files)
    by_name = {file.name: file for file in reversed(files) if file.name}
    _check_parents(files, by_name)
    reader = ListReader(directory)
    for file in files:
        reader.check(file.source, file.path.parent)
    merged: dict[str, _Merged] = {}
    effective = (_effective(file, merged, reader, labels) for file in _parents_first(files, by_name))
    policies = [policy for policy in effective if policy is not None]
    mistakes = {m for file in files for m in file.source.mistakes} | set(reader.mistakes)
    good = tuple(sorted(policies, key=lambda p: (p.key, p.shadow, p.file)))
    return Examination(good, tuple(sorted(mistakes)), tuple(file.source.file for file in files))


def _refuse_twins(files: Iterable[_File]) -> None:
    seen: dict[tuple[str, str], _File] = {}
    for file in files:
        if not (policy := file.policy) or policy.shadow:
            continue
        kind = "organisation" if policy.organisation else "client" if policy.client else "campaign"
        name = getattr(policy, kind)
        scope = as_compared(f"{policy.extends}/{name}" if kind == "campaign" else name)
        first = seen.setdefault((kind, scope), file)
        other = seen.get(("client" if kind == "organisation" else "organisation", scope), first)
        if (twin := first if first is not file else other) is not file:
            problem = f"'{name}' already has a policy in {twin.source.file}"
            hint = "make this one a candidate with `shadow: true`, or give it another name"
            file.source.add((kind,), problem, "one live policy per name", hint)


def _check_parents(files: Iterable[_File], by_name: Mapping[str, _File]) -> None:
    known = {name: file.policy for name, file in by_name.items() if file.policy}
    broken = {name for file in files if not file.policy for name in _names_written(file.source)}
    for file in files:
        if not file.policy or not (parent := file.policy.extends) or parent in broken - known.keys():
            continue
        if parent not in known:
            problem = f"there is no policy '{parent}' to extend"
            expected = f"one of {', '.join(sorted(known))}" if known else "an organisation or client of this folder"
            file.source.add(("extends",), problem, expected, nearest(parent, known))
        elif file.policy.campaign and not known[parent].client:
            file.source.add(("extends",), f"'{parent}' is an organisation", "the client that runs the campaign")
        elif file.policy.organisation and known[parent].client:
            file.source.add(("extends",), f"'{parent}' is a client", "an organisation")


def _names_written(source: Source) -> list[str]:
    """The name in a broken file, so that files that extend it are not blamed."""
    written = source.value if isinstance(source.value, dict) else {}
    return [str(written[key]) for key in ("organisation", "client") if key in written]


def _parents_first(files: Sequence[_File], by_name: Mapping[str, _File]) -> list[_File]:
    """Files in an order in which every parent comes before its children; circles are noted and left out."""
    good = {id(file): file for file in files if file.policy}
    while True:
        sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
        for key, file in good.items():
            parent = by_name.get(file.policy.extends or "") if file.policy else None
            sorter.add(key, *([id(parent)] if parent and id(parent) in good else []))
        try:
            return [good[key] for key in sorter.static_order()]
        except graphlib.CycleError as error:
            for file in [good.pop(key) for key in set(error.args[1])]:
                hint = f"{len(set(error.args[1]))} files take part; cut it at one `extends`"
                file.source.add(("extends",), "these policies extend one another in a circle", "a tree", hint)


@dataclass(frozen=True, slots=True)
class _Merged:
    """A file with its parents laid under it."""

    leaves: Leaves
    files: tuple[str, ...]
    sound: bool
    client: str


def _effective(
    file: _File, merged: dict[str, _Merged], reader: ListReader, labels: LabelCatalogue
) -> EffectivePolicy | None:
    """The file over its parents; None for an organisation and for what may not go live."""
    policy = file.policy
    assert policy is not None  # noqa: S101 - only validated files come here
    leaves, parent = own_leaves(reader.rooted(policy, file.path.parent), _origins(file.source), labels), None
    if policy.extends:
        parent = merged.get(policy.extends)
        leaves = inherit(parent.leaves, leaves) if parent else leaves
    leaves = _with_client(leaves, parent, policy)
    settings = policy_file(nested(leaves), labels)
    limits = resolve_limits(settings, leaves, labels)
    _check_review_below_block(file.source, limits.values())
    _check_merged_dates(file.source, settings)
    lists, hashes = reader.lists(settings)
    files = (file.source.file, *(parent.files if parent else ()))
    parent_sound = parent.sound if parent else policy.extends is None
    sound = not file.source.mistakes and parent_sound and not reader.broke(settings)
    if file.name:
        merged[file.name] = _Merged(leaves, files, sound, settings.client or "")
    if policy.organisation or not sound:
        return None
    firing_limits = {place: firing(each, labels) for place, each in limits.items()}
    return EffectivePolicy(
        settings=settings,
        leaves=leaves,
        file=file.source.file,
        files=(*files, *reader.files(settings)),
        limits=firing_limits,
        lists=lists,
        expressions={name: compile_expression(rule.when, labels.names) for name, rule in settings.rules.items()},
        hash=policy_hash(leaves, hashes, labels),
        labels=labels,
    )


def _with_client(leaves: Leaves, parent: _Merged | None, policy: PolicyFile) -> Leaves:
    """A campaign decides for its client."""
    if policy.campaign and parent and parent.client:
        return {**leaves, ("client",): Leaf(parent.client, leaves["campaign",].origin)}
    return leaves


def _origins(source: Source) -> dict[LeafPath, Origin]:
    return {
        tuple(str(part) for part in path): Origin(source.file, place.line, place.column)
        for path, place in source.places.items()
    }


def _check_review_below_block(source: Source, places: Iterable[Limits]) -> None:
    for limits in places:
        for (label, verdict), block in limits.items():
            review = limits.get((label, Verdict.REVIEW)) if verdict is Verdict.BLOCK else None
            if review and review.threshold > block.threshold and review.threshold <= 1:
                _note_review_above_block(source, label, review.origin, review.threshold, block.origin, block.threshold)


def _note_review_above_block(
    source: Source, label: str, review_at: Origin, review: float, block_at: Origin, block: float
) -> None:
    mine = review_at if review_at.file == source.file else block_at
    if mine.file != source.file:
        return
    other = block_at if mine is review_at else review_at
    where = f" on line {other.line}" if other.file == mine.file else f" in {other}"
    name, other_name = ("review", "block") if mine is review_at else ("block", "review")
    values = (review, block) if mine is review_at else (block, review)
    above = "above" if mine is review_at else "below"
    source.add_at(
        mine.line,
        mine.column,
        f"thresholds.{label}.{name}",
        f"{name} {values[0]:g} is {above} {other_name} {values[1]:g}{where}: nothing could ever be reviewed",
        "review at or below block",
        "lower review, raise block, or write `review: never`",
    )


def _check_merged_dates(source: Source, settings: PolicyFile) -> None:
    if settings.valid_from and settings.valid_until and settings.valid_until < settings.valid_from:
        path = ("valid_until",) if ("valid_until",) in source.places else ("valid_from",)
        if not any(m.path in {"valid_until", "valid_from"} for m in source.mistakes):
            source.add(path, "the inherited dates contradict this one", "valid_from before valid_until")
