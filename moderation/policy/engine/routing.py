"""Which policies an event concerns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.events import ImageEvent, ScoredEvent
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
                self._shadows.setdefault(policy.client, []).append(row)
            else:
                self._live[policy.client, policy.campaign] = row
        self.clients = tuple(sorted({client for client, campaign in self._live if campaign is None}))
        self._client_rows = np.array([self._live[client, None] for client in self.clients], np.intp)
        self._campaigns = _by_campaign(self._live)
        self._shadow_rows = np.array(sorted(r for rows in self._shadows.values() for r in rows), np.intp)
        self._selectors = [
            _selector([getattr(policy.settings.applies_to, name) for policy in policies])
            for name in ("surfaces", "countries", "seats", "campaigns", "deals")
        ]

    def by_event(self, event: ImageEvent | ScoredEvent, country: str | None) -> tuple[Rows, tuple[str, ...]]:
        """Rows of the policies that decide, live before shadow, and the names of unknown clients."""
        if event.clients:
            return self._named(event)
        applies = self._applies(event, country)
        rows = self._client_rows[applies[self._client_rows]]
        swaps = self._campaigns.get(event.context.campaign or "")
        if swaps:
            rows = np.array([swaps[r] if r in swaps and applies[swaps[r]] else r for r in rows.tolist()], np.intp)
        shadows = [r for r in self._shadow_rows if applies[r] and self._shadow_fits(int(r), event)]
        return (np.concatenate([rows, np.array(shadows, np.intp)]) if shadows else rows), ()

    def _named(self, event: ImageEvent | ScoredEvent) -> tuple[Rows, tuple[str, ...]]:
        """Whoever is named is answered, whatever `applies_to` says."""
        campaign, rows, unknown, shadows = event.context.campaign, [], [], []
        for client in dict.fromkeys(event.clients):
            row = self._live.get((client, campaign), self._live.get((client, None)))
            rows += [row] if row is not None else []
            unknown += [client] if row is None else []
            shadows += [r for r in self._shadows.get(client, ()) if self._shadow_fits(r, event)]
        return np.array([*rows, *shadows], np.intp), tuple(unknown)

    def _shadow_fits(self, row: int, event: ImageEvent | ScoredEvent) -> bool:
        """A candidate decides where the policy it would replace decides."""
        policy, campaign = self._policies[row], event.context.campaign
        has_own = (policy.client, campaign) in self._live and campaign is not None
        return policy.campaign == campaign if policy.campaign or has_own else True

    def _applies(self, event: ImageEvent | ScoredEvent, country: str | None) -> NDArray[np.bool_]:
        context = event.context
        values = (event.surface.value, country, context.seat, context.campaign, context.deal)
        masks = [selector.mask(value) for selector, value in zip(self._selectors, values, strict=True)]
        applies: NDArray[np.bool_] = np.logical_and.reduce(masks)
        return applies


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
            naming.setdefault(str(value), []).append(row)
    unrestricted = np.array([not tuple(values) for values in allowed], np.bool_)
    return _Selector(unrestricted, {value: np.array(rows, np.intp) for value, rows in naming.items()})
