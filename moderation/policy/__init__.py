"""Client policies: a strict language, compiled once, judging every score for every client.

`load` a folder, or keep `LivePolicies` on it; ask a `PolicySet` to `decide`.
"""

from moderation.policy.effective import EffectivePolicy, Limit, Origin
from moderation.policy.live import LivePolicies, PolicyEvent, PolicyEventKind
from moderation.policy.load import Examination, examine, examine_text, load
from moderation.policy.mistakes import Mistake, PolicyMistakes
from moderation.policy.snapshot import PolicySet
from moderation.policy.wording import Encoded

__all__ = [
    "EffectivePolicy",
    "Encoded",
    "Examination",
    "Limit",
    "LivePolicies",
    "Mistake",
    "Origin",
    "PolicyEvent",
    "PolicyEventKind",
    "PolicyMistakes",
    "PolicySet",
    "examine",
    "examine_text",
    "load",
]
