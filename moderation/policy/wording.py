"""Decisions put together: what is the same for an event, and for a policy, is prepared once.

Nearly all pairs are plain allows. For these the JSON of a decision is a handful of prepared pieces joined
around its id; only pairs in which a rule fired are serialised. Both ways give the same decision, by test.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import to_json

from moderation.adtech import terms
from moderation.events import (
    DECISION_NAMESPACE,
    SCHEMA_VERSION,
    Decision,
    PolicyStamp,
    Reason,
    ScoredEvent,
    StatementOfReasons,
    Verdict,
)
from moderation.policy.effective import EffectivePolicy

if TYPE_CHECKING:
    from moderation.policy.snapshot import Judged

_DECISION_FIELDS: Final = frozenset(Decision.model_fields)
_TRUE_FALSE: Final = (b"false", b"true")


class Encoded(NamedTuple):
    """One decision ready to be sent: `value` is its JSON, what routing needs stands beside it."""

    verdict: Verdict
    shadow: bool
    client: str
    decision_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class PolicyWording:
    """What every decision of a policy says, as a value and as JSON."""

    stamp: PolicyStamp | None
    stamp_json: bytes
    shadow: bool
    name: str
    hash: str

    @classmethod
    def of(cls, policy: EffectivePolicy) -> "PolicyWording":
        stamp = policy.stamp
        name = f"policy {stamp.client}, version {stamp.version}"
        return cls(stamp, to_json(stamp), policy.shadow, name, policy.hash)


NOBODY: Final = PolicyWording(None, b"null", False, "no policy is known for this client", "")
UNKNOWN_CLIENT: Final = Reason(
    rule="unknown_client", verdict=Verdict.REVIEW, detail="no policy is known for this client"
)


class EventWording:
    """What every decision on an event says."""

    def __init__(self, event: ScoredEvent, now: datetime, *, redecision: bool = False) -> None:
        self._event = event
        self._now = now
        self._redecision = redecision
        self._id_prefix = hashlib.sha1(
            DECISION_NAMESPACE.bytes + f"{event.event_id}\x1f".encode(), usedforsecurity=False
        )
        self._allow_json: dict[bool, tuple[bytes, ...]] = {}

    def decision(self, policy: PolicyWording, judged: "Judged") -> Decision:
        """The decision as a model. Its parts were validated before, so it is not validated again."""
        verdict, reasons, sampled = judged.judgement
        event = self._event
        values = {
            "schema_version": SCHEMA_VERSION,
            "decision_id": uuid.UUID(self._decision_id(judged.client, policy.hash)),
            "event_id": event.event_id,
            "client": judged.client,
            "surface": event.surface,
            "verdict": verdict,
            "reasons": reasons,
            "status": event.status,
            "policy": policy.stamp,
            "model": event.model,
            "content_sha256": event.content_sha256,
            "scores": event.scores,
            "uncertainty": event.uncertainty,
            "context": event.context,
            "statement": statement(verdict, reasons, policy.name, event),
            "adtech": terms(verdict, reasons, event.surface, event.status, event.context, audit_sample=sampled),
            "redecision": self._redecision,
            "shadow": policy.shadow,
            "audit_sample": sampled,
            "occurred_at": event.occurred_at,
            "scored_at": event.scored_at,
            "decided_at": self._now,
        }
        return _constructed(values)

    def encoded(self, policy: PolicyWording, judged: "Judged") -> Encoded:
        verdict, reasons, sampled = judged.judgement
        if reasons:
            decision = self.decision(policy, judged)
            identity, value = str(decision.decision_id), to_json(decision)
        else:
            identity = self._decision_id(judged.client, policy.hash)
            value = self._plain_allow(policy, judged.client, identity, sampled)
        return Encoded(verdict, policy.shadow, judged.client, identity, value)

    def _decision_id(self, client: str, policy_hash: str) -> str:
        """uuid5 as in `moderation.events.decision_id`, the event's part hashed once."""
        sha1 = self._id_prefix.copy()
        sha1.update(f"{client}\x1f{policy_hash}".encode())
        number = bytearray(sha1.digest()[:16])
        number[6] = number[6] & 0x0F | 0x50
        number[8] = number[8] & 0x3F | 0x80
        text = number.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _plain_allow(self, policy: PolicyWording, client: str, identity: str, sampled: bool) -> bytes:
        head, surface, facts, tail = self._allow_pieces(sampled)
        return b"".join(
            (
                head,
                identity.encode(),
                self._event_json,
                to_json(client),
                surface,
                policy.stamp_json,
                facts,
                _TRUE_FALSE[policy.shadow],
                tail,
            )
        )

    def _allow_pieces(self, sampled: bool) -> tuple[bytes, ...]:
        if sampled not in self._allow_json:
            self._allow_json[sampled] = self._written_allow(sampled)
        return self._allow_json[sampled]

    def _written_allow(self, sampled: bool) -> tuple[bytes, ...]:
        event = self._event
        adtech = terms(Verdict.ALLOW, (), event.surface, event.status, event.context, audit_sample=sampled)
        facts = {
            "model": event.model,
            "content_sha256": event.content_sha256,
            "scores": event.scores,
            "uncertainty": event.uncertainty,
            "context": event.context,
            "statement": None,
            "adtech": adtech,
            "redecision": self._redecision,
        }
        times = {
            "audit_sample": sampled,
            "occurred_at": event.occurred_at,
            "scored_at": event.scored_at,
            "decided_at": self._now,
        }
        return (
            b'{"schema_version":%d,"decision_id":"' % SCHEMA_VERSION,
            b',"surface":%s,"verdict":"allow","reasons":[],"status":%s,"policy":'
            % (to_json(event.surface), to_json(event.status)),
            b"," + to_json(facts)[1:-1] + b',"shadow":',
            b"," + to_json(times)[1:],
        )

    @cached_property
    def _event_json(self) -> bytes:
        return b'","event_id":%s,"client":' % to_json(self._event.event_id)


def statement(
    verdict: Verdict, reasons: Sequence[Reason], policy_name: str, event: ScoredEvent
) -> StatementOfReasons | None:
    """What a DSA art. 17 statement of reasons is made from; none for an allow.

    A review is detected by machine and decided by a person.
    """
    if verdict is Verdict.ALLOW:
        return None
    return StatementOfReasons.model_construct(
        automated_detection=event.content_sha256 is not None,
        automated_decision=verdict is Verdict.BLOCK,
        ground=f"{policy_name}: {reasons[0].rule}",
        facts="; ".join(_fact(reason) for reason in reasons if reason.verdict is not Verdict.ALLOW),
    )


def _fact(reason: Reason) -> str:
    if reason.score is None or reason.threshold is None:
        return reason.detail or reason.rule
    measured = f"{reason.label or 'uncertainty'} scored {reason.score:.3f}, limit {reason.threshold:g}"
    return f"{measured} ({reason.detail})" if reason.detail else measured


def _constructed(values: dict[str, Any]) -> Decision:
    """`Decision.model_construct` with every field given, without its loop over defaults."""
    decision = Decision.__new__(Decision)
    object.__setattr__(decision, "__dict__", values)
    object.__setattr__(decision, "__pydantic_fields_set__", set(_DECISION_FIELDS))
    object.__setattr__(decision, "__pydantic_extra__", None)
    object.__setattr__(decision, "__pydantic_private__", None)
    return decision
