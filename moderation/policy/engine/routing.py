"""Which policies an event concerns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.events import ImageEvent, ScoredEvent
from moderation.normal import Incomparable, NormalContext, identifier
from moderation.policy.compile.effective import EffectivePolicy

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Selector:
    """One dimension of `applies_to`: policies that do not restrict it, and those that name a value."""

    unrestricted: NDArray[np.bool_]
    naming: dict[str, Rows]

    def mask(self, value: str | None) -> NDArray[np.bool_]:
        rows = self.naming.get(value or "")
        if rows is None:
            return self.unrestricted
        mask = self.unrestricted.copy()
        mask[rows] = True
        return mask


class Concerned:
    """Finds the live and shadow policies of an event, exactly one live policy per client concerned."""

    def __init__(self, policies: Sequence[EffectivePolicy]) -> None:
        self._policies = policies
        self._live: dict[tuple[str, str | None], int] = {}
        self._shadows: dict[str, list[int]] = {}
        for row, policy in enumerate(policies):
            if policy.shadow:
                self._shadows.setdefault(as_compared(policy.client), []).append(row)
            else:
                self._live[as_compared(policy.client), _campaign(policy)] = row
        self.clients = tuple(
            sorted({policies[row].client for (_, campaign), row in self._live.items() if not campaign})
        )
        self._client_rows = np.array([self._live[as_compared(client), None] for client in self.clients], np.intp)
        self._campaigns = _by_campaign(self._live)
        self.with_campaigns = frozenset(policy.client for policy in policies if policy.campaign)
        self._shadow_rows = np.array(sorted(r for rows in self._shadows.values() for r in rows), np.intp)
        self._selectors = {
            name: _selector([getattr(policy.settings.applies_to, key) for policy in policies])
            for name, key in RESTRICTS.items()
        }

    def by_event(self, event: ImageEvent | ScoredEvent, context: NormalContext) -> tuple[Rows, tuple[str, ...]]:
        """Rows of the policies that decide, live before shadow, and the names of unknown clients."""
        if event.clients:
            return self._named(event, context.campaign or None)
        applies = self._applies(event, context)
        rows = self._client_rows[applies[self._client_rows]]
        swaps = self._campaigns.get(context.campaign)
        if swaps:
            rows = np.array([swaps[r] if r in swaps and applies[swaps[r]] else r for r in rows.tolist()], np.intp)
        shadows = [r for r in self._shadow_rows if applies[r] and self._shadow_fits(int(r), context.campaign or None)]
        return (np.concatenate([rows, np.array(shadows, np.intp)]) if shadows else rows), ()

    def _named(self, event: ImageEvent | ScoredEvent, campaign: str | None) -> tuple[Rows, tuple[str, ...]]:
        """Every named client gets a decision, regardless of `applies_to`."""
        rows, unknown, shadows = [], [], []
        named: dict[str, str] = {}
        for sent in event.clients:
            named.setdefault(as_compared(sent), sent)
        for client, sent in named.items():
            row = self._live.get((client, campaign), self._live.get((client, None)))
            rows += [row] if row is not None else []
            unknown += [sent] if row is None else []
            shadows += [r for r in self._shadows.get(client, ()) if self._shadow_fits(r, campaign)]
        return np.array([*rows, *shadows], np.intp), tuple(unknown)

    def _shadow_fits(self, row: int, campaign: str | None) -> bool:
        """A candidate decides where the policy it would replace decides."""
        policy = self._policies[row]
        has_own = (as_compared(policy.client), campaign) in self._live and campaign is not None
        return _campaign(policy) == campaign if policy.campaign or has_own else True

    def _applies(self, event: ImageEvent | ScoredEvent, context: NormalContext) -> NDArray[np.bool_]:
        """A value that cannot be compared excludes no client: a client that restricts it answers review."""
        masks = [
            selector.mask(event.surface.value if name == "surface" else getattr(context, name))
            for name, selector in self._selectors.items()
            if name not in context.problems
        ]
        applies: NDArray[np.bool_] = np.logical_and.reduce(masks)
        return applies


RESTRICTS: Final = {
    "surface": "surfaces",
    "country": "countries",
    "seat": "seats",
    "campaign": "campaigns",
    "deal": "deals",
}
"""Field of an event → key of `applies_to`."""


def as_compared(name: str) -> str:
    """A name of ours as it is compared; one that has no normal form is itself alone."""
    found = identifier(name)
    return name if isinstance(found, Incomparable) else found


def _campaign(policy: EffectivePolicy) -> str | None:
    return as_compared(policy.campaign) if policy.campaign else None


def _by_campaign(live: dict[tuple[str, str | None], int]) -> dict[str, dict[int, int]]:
    """campaign → {row of the client's policy: row of its campaign's}."""
    swaps: dict[str, dict[int, int]] = {}
    for (client, campaign), row in live.items():
        if campaign is not None and (client, None) in live:
            swaps.setdefault(campaign, {})[live[client, None]] = row
    return swaps


def _selector(allowed: Sequence[Iterable[str]]) -> _Selector:
    naming: dict[str, list[int]] = {}
    for row, values in enumerate(allowed):
        for value in values:
            naming.setdefault(as_compared(str(value)), []).append(row)
    unrestricted = np.array([not tuple(values) for values in allowed], np.bool_)
    return _Selector(unrestricted, {value: np.array(rows, np.intp) for value, rows in naming.items()})
