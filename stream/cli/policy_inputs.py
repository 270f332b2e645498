"""Arguments of the policy commands: recorded scores, policies by name, words of closed lists."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import typer

from moderation.documents.mistakes import nearest
from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, Surface, Verdict
from moderation.labels import TIERS, LabelCatalogue
from moderation.policy import EffectivePolicy, PolicyMistakes, PolicySet
from moderation.policy.language.hints.words import tier_hint, verdict_hint
from moderation.policy.tools.overlay import examine_overlaid
from moderation.policy.tools.recorded import scored_events
from moderation.policy.tools.showcase import Pictures, Shown
from moderation.policy.tools.unscored import labels_of_model
from stream.cli.terminal import file_progress

TOPIC: Final = "topic:"
"""Prefix of a source of scores that is a Kafka topic."""
TRITON: Final = "triton"
MODEL_REPOSITORY: Final = Path("model_repository")
VERDICTS: Final = tuple(verdict.value for verdict in Verdict)
Hint = Callable[[str, tuple[str, ...]], str]


def moment(now: datetime | None) -> datetime:
    """A time given without a zone is UTC; none is the present."""
    return datetime.now(UTC) if now is None else now.replace(tzinfo=now.tzinfo or UTC)


def policy_of(policies: PolicySet, name: str) -> EffectivePolicy:
    """The live policy of `client` or `client/campaign`. Raises ConfigurationError with the nearest name."""
    client, _, campaign = name.partition("/")
    if found := policies.policy(client, campaign or None):
        return found
    known = [policy.key for policy in policies.policies if not policy.shadow]
    hint = nearest(name, known) or f"known: {', '.join(known[:20])}"
    raise ConfigurationError(f"no policy for {name}; {hint}")


def overlaid(place: Path, among: Path, labels: LabelCatalogue) -> PolicySet:
    """A folder, or a file tried out in a folder. Raises PolicyMistakes."""
    found = examine_overlaid(place, among, labels)
    if found.mistakes:
        raise PolicyMistakes(found.mistakes)
    return PolicySet(found.policies)


def of_clients(policies: PolicySet, only: Collection[str]) -> PolicySet:
    """The policies of these clients, or of every client if none is given. Other policies cost nothing."""
    return PolicySet(tuple(p for p in policies.policies if p.client in only)) if only else policies


def require_clients(names: Iterable[str], *sets: PolicySet) -> None:
    """Each name has a policy in at least one of the sets. Raises ConfigurationError."""
    known = sorted({client for each in sets for client in each.clients})
    for name in names:
        if name not in known:
            raise ConfigurationError(f"no policy for {name}; {nearest(name, known) or 'is the folder right?'}")


def pictures_for(shown: Sequence[Shown], places: Sequence[Path] | None, report: Path) -> Pictures:
    """Pictures for a report, where places to look in are given. Raises ConfigurationError."""
    from stream.policy_pictures import find_pictures

    return find_pictures(shown, places or (), report)


@contextmanager
def scores_with_progress(source: str, settings: Path | None) -> Iterator[Iterator[ScoredEvent]]:
    """Recorded scores, with a progress bar on a terminal."""
    with file_progress(source) as advance:
        yield recorded(source, settings, advance)


def recorded(source: str, settings: Path | None, advance: Callable[[int], None]) -> Iterator[ScoredEvent]:
    """Scored events of a JSON Lines file (`.gz` too), of standard input (`-`), or of `topic:NAME`."""
    if source == "-" and sys.stdin.isatty():
        raise ConfigurationError("no scores: give --scores FILE, or pipe them into standard input")
    if not source.startswith(TOPIC):
        return scored_events(Path(source), advance)
    from stream.score_sources import from_topic
    from stream.settings import read_settings

    return from_topic(read_settings(settings), source.removeprefix(TOPIC))


def recorded_event(source: str, event_id: str | None, settings: Path | None) -> ScoredEvent:
    """One event of a recording: the first, or the one with this id. Raises ConfigurationError."""
    for found in recorded(source, settings, lambda _: None):
        if event_id in {None, found.event_id}:
            return found
    raise ConfigurationError(f"{source} has no event{f' {event_id}' if event_id else 's'}")


def scored_now(image: Path, surface: str, country: str | None, settings: Path | None) -> ScoredEvent:
    """An image scored by the served model, now."""
    from stream.score_sources import score_image
    from stream.settings import read_settings

    where = word("surface", surface, tuple(Surface))
    return score_image(image, Surface(where), {"country": country} if country else {}, read_settings(settings))


def thresholds(policy: EffectivePolicy) -> Mapping[str, Mapping[str, float]]:
    """label → {review, block} on creatives where no market is known, to be marked in plots."""
    cuts: dict[str, dict[str, float]] = {}
    for (label, verdict), limit in policy.limits_at(Surface.CREATIVE, None).items():
        cuts.setdefault(label, {})[verdict.value] = limit.threshold
    return cuts


def share(option: str, value: float) -> float:
    """A share strictly between 0 and 1. Raises ConfigurationError."""
    if 0 < value < 1:
        return value
    hint = f"; for {value:g}% write {value / 100:g}" if 1 <= value < 100 else ""  # noqa: PLR2004 - percent
    raise ConfigurationError(f"--{option} {value:g}: a share above 0 and below 1{hint}")


def word(option: str, given: str, known: tuple[str, ...], hint: Hint = nearest) -> str:
    """A word of a closed list. Raises ConfigurationError with the probable meaning."""
    if given in known:
        return given
    raise ConfigurationError(f"--{option} {_correct(given, known, hint)}")


def _correct(given: str, known: tuple[str, ...], hint: Hint) -> str:
    return f"{given}: one of {', '.join(known)}. {hint(given, known)}".rstrip(". ")


def split_tiers(given: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """`TIER` and `LABEL=TIER` → the tier for all labels, and those of single labels; the last of each counts."""
    default, named = None, {}
    for each in given:
        label, is_named, tier = each.partition("=")
        if is_named:
            named[label.strip()] = tier.strip()
        else:
            default = each
    return default, named


def tier(given: str, label: str | None = None) -> str:
    """A tier as it was given with `--tier`, or with `--tier LABEL=`. Raises ConfigurationError."""
    if given in TIERS:
        return given
    named = f"{label}=" if label else ""
    raise ConfigurationError(f"--tier {named}{_correct(given, TIERS, tier_hint)}")


def require_tiers(names: Iterable[str], labels: LabelCatalogue) -> None:
    """Labels that a tier can be chosen for. Raises ConfigurationError where the catalogue has no rows for one."""
    for name in names:
        if name not in labels.by_name or not labels.by_name[name].tiers:
            known = ", ".join(labels.tiered_names)
            raise ConfigurationError(f"{labels.file} has no tiers for the label {name}; it has them for {known}")


def verdict(option: str, given: str) -> Verdict:
    return Verdict(word(option, given, VERDICTS, verdict_hint))


def ask(question: str, known: tuple[str, ...], default: str, hint: Hint) -> str:
    """Ask at the terminal until the answer is one of the known words."""

    def checked(answer: str) -> str:
        given = answer.strip().lower()
        if given not in known:
            raise typer.BadParameter(_correct(answer, known, hint))
        return given

    return str(typer.prompt(f"{question} ({', '.join(known)})", default=default, value_proc=checked))


class ScoredLabels(NamedTuple):
    """The labels of a model, and its name in messages."""

    name: str
    labels: tuple[str, ...]


def scored_labels(model: str | None, settings: Path | None) -> ScoredLabels | None:
    """Labels of the named model, else of `model_repository/` if there is one. Raises ConfigurationError."""
    if model == TRITON:
        from stream.score_sources import served_labels
        from stream.settings import read_settings

        address = read_settings(settings).triton
        return ScoredLabels(f"model {address.model} at {address.url}", served_labels(address))
    place = Path(model) if model else MODEL_REPOSITORY
    if model is None and not place.is_dir():
        return None
    return _one_model(labels_of_model(place), model, settings)


def _one_model(found: Mapping[str, tuple[str, ...]], model: str | None, settings: Path | None) -> ScoredLabels | None:
    """The only model of a repository, or the one that the settings serve."""
    if len(found) > 1:
        from stream.settings import read_settings

        served = read_settings(settings).triton.model
        if served not in found:
            known = ", ".join(sorted(found))
            raise ConfigurationError(
                f"--model {model or MODEL_REPOSITORY}: holds {known}, but triton.model is {served}"
            )
        found = {served: found[served]}
    ((name, labels),) = found.items()
    return ScoredLabels(f"model {name}", labels)
