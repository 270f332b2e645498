"""Decisions put together: what is the same for an event, and for a policy, is prepared once.

The JSON of a decision is a handful of prepared pieces joined around its id. It is byte for byte what the
model would write, by test.
"""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from moderation.adtech import terms
from moderation.events import (
    DECISION_NAMESPACE,
    SCHEMA_VERSION,
    AdtechTerms,
    Decision,
    Evidence,
    EvidenceSummary,
    PolicyStamp,
    Reason,
    ScoredEvent,
    StatementOfReasons,
    Status,
    Verdict,
)
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.judge import Judged, Judgement

_DECISION_FIELDS: Final = frozenset(Decision.model_fields)
_HEAD: Final = b'{"schema_version":%d,"decision_id":"' % SCHEMA_VERSION
_NULL: Final = b"null"
_TRUE_FALSE: Final = (b"false", b"true")


class Encoded(NamedTuple):
    """One decision ready to be sent: `value` is its JSON; the other fields are for routing."""

    verdict: Verdict
    shadow: bool
    client: str
    is_known: bool
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
    client_json: bytes

    @classmethod
    def of(cls, policy: EffectivePolicy) -> "PolicyWording":
        stamp = policy.stamp
        name = f"policy {stamp.client}, version {stamp.version}"
        return cls(stamp, to_json(stamp), policy.shadow, name, policy.hash, to_json(policy.client))


NOBODY: Final = PolicyWording(None, b"null", False, "no policy is known for this client", "", b"")
UNKNOWN_CLIENT: Final = Reason(
    rule="unknown_client", verdict=Verdict.REVIEW, detail="no policy is known for this client"
)


class EventWording:
    """What every decision on an event says.

    A decision is written as: its id, the event, the client, the verdict and reasons, the policy, the event's
    facts, statement and ad-tech terms, flags, times. The event's pieces are written once.
    """

    def __init__(self, facts: Facts, *, redecision: bool = False, name_family: Callable[[str], str] = str) -> None:
        """name_family: a rule's name → the name under which the ad-tech table knows it."""
        self._event = event = facts.event
        self._facts = facts
        self._name_family = name_family
        self._now = facts.now
        self._redecision = redecision
        self._id_prefix = hashlib.sha1(
            DECISION_NAMESPACE.bytes + f"{event.event_id}\x1f".encode(), usedforsecurity=False
        )
        self._wordings: dict[tuple[Any, ...], _JudgementWording] = {}

    def decision(self, policy: PolicyWording, judged: Judged) -> Decision:
        """The decision as a model. Its parts were validated before, so it is not validated again."""
        verdict, reasons, sampled = judged.judgement
        event, wording = self._event, self._word_judgement(judged.judgement)
        values = {
            "schema_version": SCHEMA_VERSION,
            "decision_id": uuid.UUID(bytes=self._decision_id(judged.client, policy.hash)),
            "event_id": event.event_id,
            "client": judged.client,
            "surface": event.surface,
            "verdict": verdict,
            "reasons": reasons,
            "status": event.status,
            "policy": policy.stamp,
            **self._shared,
            "statement": _statement(verdict, reasons, policy.name, wording.facts, event),
            "adtech": wording.adtech,
            "redecision": self._redecision,
            "shadow": policy.shadow,
            "audit_sample": sampled,
            "occurred_at": event.occurred_at,
            "scored_at": event.scored_at,
            "decided_at": self._now,
        }
        return _constructed(values)

    def encoded(self, policy: PolicyWording, judged: Judged) -> Encoded:
        """The same decision as JSON, byte for byte what `Decision.model_dump_json` writes."""
        verdict, reasons, _ = judged.judgement
        wording = self._word_judgement(judged.judgement)
        identity = _dashed(self._decision_id(judged.client, policy.hash))
        statement = _statement(verdict, reasons, policy.name, wording.facts, self._event)
        pieces = (
            _HEAD,
            identity.encode(),
            self._event_json,
            policy.client_json or to_json(judged.client),
            wording.verdict_json,
            policy.stamp_json,
            self._facts_json,
            _NULL if statement is None else to_json(statement),
            wording.tails[policy.shadow],
        )
        return Encoded(verdict, policy.shadow, judged.client, policy.stamp is not None, identity, b"".join(pieces))

    def _decision_id(self, client: str, policy_hash: str) -> bytes:
        """uuid5 as in `moderation.events.decision_id`, the event's part hashed once."""
        sha1 = self._id_prefix.copy()
        sha1.update(f"{client}\x1f{policy_hash}".encode())
        number = bytearray(sha1.digest()[:16])
        number[6] = number[6] & 0x0F | 0x50
        number[8] = number[8] & 0x3F | 0x80
        return bytes(number)

    def _word_judgement(self, judgement: Judgement) -> "_JudgementWording":
        """Clients on one tier get the same reasons: what follows from them is worked out once."""
        verdict, reasons, sampled = judgement
        key = (verdict, sampled, *map(id, reasons))
        wording = self._wordings.get(key)
        if wording is None:
            self._wordings[key] = wording = self._write_judgement(verdict, reasons, sampled)
        return wording

    def _write_judgement(self, verdict: Verdict, reasons: tuple[Reason, ...], sampled: bool) -> "_JudgementWording":
        event = self._event
        adtech = terms(
            verdict,
            reasons,
            event.surface,
            event.status,
            event.context,
            labels=self._facts.labels,
            audit_sample=sampled,
            name_family=self._name_family,
        )
        return _JudgementWording(
            reasons=reasons,
            facts="; ".join(_fact(reason) for reason in reasons if reason.verdict is not Verdict.ALLOW),
            adtech=adtech,
            tails=(self._tail(adtech, sampled, _TRUE_FALSE[False]), self._tail(adtech, sampled, _TRUE_FALSE[True])),
            verdict_json=b',"surface":%s,"verdict":%s,"reasons":%s,"status":%s,"policy":'
            % (to_json(event.surface), to_json(verdict), to_json(reasons), to_json(event.status)),
        )

    def _tail(self, adtech: AdtechTerms, sampled: bool, shadow: bytes) -> bytes:
        flags = (_TRUE_FALSE[self._redecision], shadow, _TRUE_FALSE[sampled])
        written = b',"redecision":%s,"shadow":%s,"audit_sample":%s' % flags
        return b',"adtech":' + to_json(adtech) + written + self._times_json

    @cached_property
    def _event_json(self) -> bytes:
        return b'","event_id":%s,"client":' % to_json(self._event.event_id)

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What every decision repeats of the event, in the order of `Decision`."""
        event = self._event
        return {
            "model": event.model,
            "evidence": tuple(_summary(each) for each in event.evidence),
            "content_sha256": event.content_sha256,
            "scores": self._facts.scores,
            "uncertainty": event.uncertainty,
            "context": event.context,
        }

    @cached_property
    def _facts_json(self) -> bytes:
        return b"," + to_json(self._shared)[1:-1] + b',"statement":'

    @cached_property
    def _times_json(self) -> bytes:
        event = self._event
        times = {"occurred_at": event.occurred_at, "scored_at": event.scored_at, "decided_at": self._now}
        return b"," + to_json(times)[1:]


class _JudgementWording(NamedTuple):
    """What follows from a verdict and its reasons; holds the reasons, so that their ids stay theirs."""

    reasons: tuple[Reason, ...]
    facts: str
    adtech: AdtechTerms
    tails: tuple[bytes, bytes]
    """From the ad-tech terms to the end, for a live and for a shadow policy."""
    verdict_json: bytes


def _summary(evidence: Evidence) -> EvidenceSummary:
    stamp = evidence.stamp.text if evidence.stamp else None
    return EvidenceSummary.model_construct(source=evidence.source, stamp=stamp, status=evidence.status)


def _dashed(identity: bytes) -> str:
    text = identity.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _statement(
    verdict: Verdict, reasons: Sequence[Reason], policy_name: str, facts: str, event: ScoredEvent
) -> StatementOfReasons | None:
    """What a DSA art. 17 statement of reasons is made from; none for an allow.

    A review is detected by machine and decided by a person.
    """
    if verdict is Verdict.ALLOW:
        return None
    return StatementOfReasons(
        automated_detection=event.status is Status.OK,
        automated_decision=verdict is Verdict.BLOCK,
        ground=f"{policy_name}: {reasons[0].rule}",
        facts=facts,
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
