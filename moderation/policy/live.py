"""Policies that follow their files: each change is checked whole, then swapped in as one snapshot.

A broken file never goes live: its client, and every client that inherits from it, keeps the last good policy,
and an event reports it. A removed file removes its client.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from moderation.documents.mistakes import Mistake, PolicyMistakes
from moderation.labels import LabelCatalogue
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.folder import Fingerprint, fingerprint
from moderation.policy.load import Examination, examine
from moderation.policy.watching import QUIET_S, follow

_STEADY_S: Final = 10.0
"""A failure after this time without one counts as the first."""
_MOST_READINGS: Final = 5
"""A folder that changes all the time is taken as it was read last; the next change reads it again."""
_STOP_TIMEOUT_S: Final = 1.0


class PolicyEventKind(StrEnum):
    CHANGED = "changed"
    """A new or changed policy went live."""
    REFUSED = "refused"
    """A file is wrong: the last good policy stays. This one needs a person."""
    REPAIRED = "repaired"
    """A file that was refused is right again, or gone: the alarm is over."""
    REMOVED = "removed"
    """A policy's file is gone, and so is the policy."""


class PolicyEvent(BaseModel):
    """One thing that happened to a policy while it was live; goes onto the `policy-events` topic."""

    model_config = ConfigDict(frozen=True)

    kind: PolicyEventKind
    client: str | None = Field(None, description="The client, or client/campaign; null where the file never had one.")
    file: str
    hash: str | None = Field(None, description="Of the policy that decides from now on; null where none does.")
    previous_hash: str | None = None
    shadow: bool = False
    mistakes: tuple[Mistake, ...] = ()
    at: datetime


class LivePolicies:
    """The policies of a folder, always the newest good ones.

    `current` is safe from any thread and never blocks; ask it once per batch, so that a batch is decided by
    one snapshot. `on_event` is called from the watching thread.
    """

    def __init__(
        self, directory: Path, on_event: Callable[[PolicyEvent], None], labels: LabelCatalogue | None = None
    ) -> None:
        self._directory = directory
        self._labels = labels
        self._on_event = on_event
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._snapshot: PolicySet | None = None
        self._refused: dict[str, tuple[Mistake, ...]] = {}
        self._seen: Fingerprint | None = None

    def start(self) -> None:
        """Load the folder and begin to watch it. Raises PolicyMistakes if any file is wrong."""
        examination = self._examined()
        if examination.mistakes:
            raise PolicyMistakes(examination.mistakes)
        self._snapshot = PolicySet(examination.policies).prepared()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name="policies", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; `current` keeps answering."""
        self._stopping.set()
        if self._thread:
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None

    def current(self) -> PolicySet:
        """The newest good snapshot. Raises RuntimeError before `start`."""
        if self._snapshot is None:
            raise RuntimeError("LivePolicies.start() comes before current()")
        return self._snapshot

    def refresh(self) -> None:
        """Check the folder now, as a change on disk would."""
        before = self.current()
        examination = self._examined()
        kept = _kept(before.policies, examination)
        after = PolicySet(_in_order([*examination.policies, *kept]))
        if after.hash != before.hash:
            self._snapshot = after.prepared()
        self._report(before.policies, after.policies, kept, examination.mistakes)

    def _follow(self) -> None:
        """Refresh at every change until stopped. The thread's boundary: no error ends it silently."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                for _ in follow(self._directory, lambda: self._seen, self._stopping):
                    self.refresh()
            except Exception as error:  # noqa: BLE001
                # A single failure is not reported: the folder may be half replaced.
                failures = failures + 1 if time.monotonic() - began < _STEADY_S else 1
                if failures > 1:
                    self._alarm(error)
                self._stopping.wait(QUIET_S)

    def _examined(self) -> Examination:
        """The folder as it is at one moment: what changes while it is read is read again."""
        self._seen = None
        for _ in range(_MOST_READINGS):
            before = fingerprint(self._directory)
            examination = examine(self._directory, self._labels)
            if fingerprint(self._directory) == before:
                break
        self._seen = before
        return examination

    def _alarm(self, error: Exception) -> None:
        """Report once why the folder cannot be read. The next successful reading ends the alarm."""
        folder = str(self._directory)
        mistake = Mistake(
            file=folder,
            line=0,
            column=0,
            path="",
            problem=f"changes are not followed: {type(error).__name__}: {error}",
            hint="what decides is the last good policies; undo the last change, and tell us of it",
        )
        if self._refused.get(folder) != (mistake,):
            self._refused[folder] = (mistake,)
            self._on_event(_refused(folder, (mistake,), kept=[])[0])

    def _report(
        self,
        before: Iterable[EffectivePolicy],
        after: Iterable[EffectivePolicy],
        kept: Iterable[EffectivePolicy],
        mistakes: Iterable[Mistake],
    ) -> None:
        refused = self._refused
        for event in [*self._refusals(kept, mistakes), *_changes(before, after)]:
            self._on_event(event)
        for file in sorted(refused.keys() - self._refused.keys()):
            self._on_event(PolicyEvent(kind=PolicyEventKind.REPAIRED, file=file, at=datetime.now(UTC)))

    def _refusals(self, kept: Iterable[EffectivePolicy], mistakes: Iterable[Mistake]) -> list[PolicyEvent]:
        """One event per newly broken file and client that keeps its last good policy because of it."""
        by_file: dict[str, tuple[Mistake, ...]] = {}
        for mistake in mistakes:
            by_file[mistake.file] = (*by_file.get(mistake.file, ()), mistake)
        new = {file: found for file, found in by_file.items() if self._refused.get(file) != found}
        self._refused = by_file
        holders = list(kept)
        return [event for file, found in sorted(new.items()) for event in _refused(file, found, holders)]


def _kept(before: Iterable[EffectivePolicy], examination: Examination) -> list[EffectivePolicy]:
    """Policies that stay because their file, a parent's or a list's is there but wrong."""
    good = {(policy.key, policy.shadow, policy.file) for policy in examination.policies}
    taken = {policy.key for policy in examination.policies if not policy.shadow}
    broken = {mistake.file for mistake in examination.mistakes}
    there = set(examination.files)
    return [
        policy
        for policy in before
        if (policy.key, policy.shadow, policy.file) not in good
        and (policy.shadow or policy.key not in taken)
        and ((policy.file in there and _is_touched(policy, broken)) or not there)
    ]


def _is_touched(policy: EffectivePolicy, broken: set[str]) -> bool:
    return not broken.isdisjoint(policy.files)


def _refused(file: str, mistakes: tuple[Mistake, ...], kept: list[EffectivePolicy]) -> list[PolicyEvent]:
    holders = [policy for policy in kept if file in policy.files]
    at = datetime.now(UTC)
    if not holders:
        return [PolicyEvent(kind=PolicyEventKind.REFUSED, file=file, mistakes=mistakes, at=at)]
    return [
        PolicyEvent(
            kind=PolicyEventKind.REFUSED,
            client=policy.key,
            file=file,
            hash=policy.hash,
            previous_hash=policy.hash,
            shadow=policy.shadow,
            mistakes=mistakes,
            at=at,
        )
        for policy in holders
    ]


def _changes(before: Iterable[EffectivePolicy], after: Iterable[EffectivePolicy]) -> list[PolicyEvent]:
    old, new = _by_identity(before), _by_identity(after)
    at = datetime.now(UTC)
    events = [
        _changed(policy, old.get(identity), at)
        for identity, policy in new.items()
        if identity not in old or old[identity].hash != policy.hash
    ]
    return events + [
        PolicyEvent(
            kind=PolicyEventKind.REMOVED,
            client=policy.key,
            file=policy.file,
            previous_hash=policy.hash,
            shadow=policy.shadow,
            at=at,
        )
        for identity, policy in old.items()
        if identity not in new
    ]


def _changed(policy: EffectivePolicy, before: EffectivePolicy | None, at: datetime) -> PolicyEvent:
    return PolicyEvent(
        kind=PolicyEventKind.CHANGED,
        client=policy.key,
        file=policy.file,
        hash=policy.hash,
        previous_hash=before.hash if before else None,
        shadow=policy.shadow,
        at=at,
    )


def _by_identity(policies: Iterable[EffectivePolicy]) -> dict[tuple[str, bool, str], EffectivePolicy]:
    return {(p.key, p.shadow, p.file if p.shadow else ""): p for p in policies}


def _in_order(policies: Iterable[EffectivePolicy]) -> tuple[EffectivePolicy, ...]:
    return tuple(sorted(policies, key=lambda p: (p.key, p.shadow, p.file)))
