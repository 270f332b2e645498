"""Deterministic audit sampling: the same image is drawn alike in every process, at any time.

A draw is SplitMix64's finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") of
the first eight bytes of the content's sha256, xor those of the client's salt. It is compared with the share.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moderation.events import ScoredEvent
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.facts import Facts

_TOP = float(2**64)


class AuditSample:
    """The shares and salts of all policies, `[P] uint64` each."""

    def __init__(self, policies: Sequence[EffectivePolicy]) -> None:
        self._salts = np.array([_salt(policy) for policy in policies], np.uint64)
        shares = np.array([_share(policy) for policy in policies], np.float64)
        self._limits = np.where(shares >= 1, np.inf, shares * _TOP)
        self.any = bool((self._limits > 0).any())

    def drawn(self, event: ScoredEvent) -> NDArray[np.bool_]:
        """`[P]`: policies for which this image is in the sample."""
        if not self.any:
            return np.zeros(len(self._salts), np.bool_)
        return mixed(self._salts ^ np.uint64(_content(event))).astype(np.float64) < self._limits


def is_drawn(policy: EffectivePolicy, facts: Facts) -> bool:
    """Whether one policy has this image in its sample: as drawn for all policies, or drawn now in the same way."""
    if facts.drawn is not None:
        return policy in facts.drawn
    share = _share(policy)
    if share <= 0:
        return False
    draw = mixed(np.array([_salt(policy) ^ _content(facts.event)], np.uint64))
    return share >= 1 or float(draw[0]) < share * _TOP


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, element by element."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _content(event: ScoredEvent) -> int:
    """By content; by event where the bytes never arrived."""
    digest = event.content_sha256 or hashlib.sha256(event.event_id.encode()).hexdigest()
    return int(digest[:16], 16)


def _salt(policy: EffectivePolicy) -> int:
    audit = policy.settings.audit
    salt = audit.salt if audit and audit.salt else policy.client
    return int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")


def _share(policy: EffectivePolicy) -> float:
    return policy.settings.audit.share if policy.settings.audit else 0.0
