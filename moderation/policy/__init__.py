"""Client policies: a strict language, compiled once, judging every score for every client.

`load` a folder, or keep `LivePolicies` on it; ask a `PolicySet` to `decide`.
"""

from moderation.documents.mistakes import Mistake, PolicyMistakes
from moderation.policy.compile.effective import EffectivePolicy, Limit, Origin
from moderation.policy.engine.encode import Encoded
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.live import LivePolicies, PolicyEvent, PolicyEventKind
from moderation.policy.load import Examination, examine, examine_text, load

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
