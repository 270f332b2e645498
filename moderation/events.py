"""The wire contracts: image event, scored event, decision and reject.

All models are frozen. Unknown fields are ignored, so a producer may send more than is known here, and
nothing unknown reaches a decision. Times are UTC; scores are calibrated probabilities in 0..1.
"""

import re
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from moderation.evidence.contract import IMAGE, Evidence, EvidenceList, EvidenceSummary
from moderation.sent import (
    SentCount,
    SentCountry,
    SentDomain,
    SentDomains,
    SentFlag,
    SentId,
    SentNames,
    SentNumber,
    SentUrl,
    empty_is_none,
    given_id,
    listed,
    lower,
    text_of,
)
from moderation.wire import Frozen, ModelStamp, Name, Probability, Status

__all__ = ["Evidence", "EvidenceSummary", "ModelStamp", "Name", "Probability", "Status"]
"""What the contracts are made of, beside the contracts themselves."""

SCHEMA_VERSION: Final = 1
SCORED_VERSION: Final = 2
"""Of scored events; version 1 is still read, see `moderation.evidence.version_1`."""
DECISION_NAMESPACE: Final = uuid.UUID("6f0c0d5e-4a56-5d0e-9a3b-5b1f0a7d2c11")
"""Namespace of every `decision_id` (drawn once for this project, never to change)."""


class Surface(StrEnum):
    CREATIVE = "creative"
    PAGE = "page"


class Verdict(StrEnum):
    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _version(value: object) -> object:
    return int(value) if isinstance(value, str | float) and value in {"1", 1.0} else value


def absent_is_empty(value: object) -> object:
    return {} if value is None else value


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A time; one without a zone is taken for UTC."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pdq = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PDQ_MATCH: Final = 31
"""Bits of 256 within which two PDQ hashes mean the same image (Meta, ThreatExchange, PDQ reference, 2019)."""


class AdContext(Frozen):
    """The ad-tech facts around an image, in OpenRTB's names where it has them.

    Values are kept as they were sent; `moderation.normal` says how they are compared.
    """

    crid: SentId = Field(None, description="Creative id (OpenRTB bid.crid).")
    adomain: SentDomains = Field((), max_length=256, description="Advertiser domains (OpenRTB bid.adomain).")
    seat: SentId = Field(None, description="Buyer seat (OpenRTB seatbid.seat).")
    campaign: SentId = Field(None, description="Campaign id (OpenRTB bid.cid).")
    deal: SentId = Field(None, description="Deal id (OpenRTB bid.dealid).")
    page_url: SentUrl = Field(None, description="Page the image stands on; query string is dropped.")
    domain: SentDomain = Field(None, description="Publisher domain (OpenRTB site.domain).")
    country: SentCountry = Field(None, description="Where it would be shown, ISO 3166-1 alpha-2 or alpha-3.")
    cattax: SentNumber = Field(
        None, description="AdCOM list of category taxonomies: which one `cat` uses; 1 if absent, as in OpenRTB."
    )
    cat: SentNames = Field((), max_length=256, description="Declared categories, in taxonomy `cattax`.")
    declared_political: SentFlag = Field(
        None, description="Whether the sponsor declared political advertising; null where nobody said."
    )
    impressions: SentCount = Field(None, description="Impressions at stake, for weighing reports.")


_DATA_URL_HEAD: Final = 64


class ImageSource(Frozen):
    """Where the bytes are: exactly one of `base64`, `url`, `file`; none when the record's value is the image."""

    base64: Annotated[str, Field(max_length=16 * 1024 * 1024)] | None = None
    url: str | None = None
    file: str | None = Field(None, description="Path below the worker's configured image root.")

    @model_validator(mode="before")
    @classmethod
    def _take_data_url(cls, value: object) -> object:
        """Empty text names no place, and a `data:` URL is the image itself."""
        if not isinstance(value, dict):
            return value
        given = {key: each for key, each in value.items() if empty_is_none(each) is not None} or value
        url = given.get("url")
        if (
            isinstance(url, str)
            and url[:_DATA_URL_HEAD].lstrip().lower().startswith("data:")
            and not given.get("base64")
        ):
            return {**given, "url": None, "base64": url}
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(v is not None for v in (self.base64, self.url, self.file)) != 1:
            raise ValueError("give exactly one of base64, url, file")
        return self


class ImageEvent(Frozen):
    """One image to judge: a creative, or an image of a page."""

    schema_version: Annotated[Literal[1], BeforeValidator(_version)] = SCHEMA_VERSION
    event_id: Annotated[Name, BeforeValidator(given_id)]
    surface: Annotated[Surface, BeforeValidator(lower)]
    clients: Annotated[tuple[Annotated[Name, BeforeValidator(text_of)], ...], BeforeValidator(listed)] = Field(
        (), max_length=1_000, description="Clients concerned; none means every client whose policy applies."
    )
    image: ImageSource | None = Field(
        None, description="Left out when the record's value is the raw image and this event is in its header."
    )
    context: Annotated[AdContext, BeforeValidator(absent_is_empty)] = AdContext()
    occurred_at: Annotated[Moment | None, BeforeValidator(empty_is_none)] = Field(
        None, description="When it happened; the record's timestamp if absent."
    )


class ImageFacts(Frozen):
    """What decoding learned about the image."""

    format: str
    width: int
    height: int
    frames: int = Field(1, description="Frames in the file.")
    views: int = Field(1, description="Views scored (frames, backgrounds, tiles); the maximum counts.")


class ScoredEvent(Frozen):
    """An event with what every source of evidence says of its image, or with the status that says why none did."""

    schema_version: Literal[2] = SCORED_VERSION
    event_id: Name
    surface: Surface
    clients: tuple[Name, ...] = ()
    context: AdContext = AdContext()
    occurred_at: Moment | None = None
    status: Status = Field(description="OK where any source examined the image.")
    detail: str | None = Field(None, description="For people: why the status is not OK.")
    content_sha256: Sha256 | None = None
    perceptual_hash: Pdq | None = Field(None, description="PDQ hash, 64 hex digits (256 bits).")
    image: ImageFacts | None = None
    evidence: EvidenceList = Field(description="One for each source that was asked; empty where none was.")
    scored_at: Moment

    @property
    def image_evidence(self) -> Evidence | None:
        """What the image model says."""
        return next((each for each in self.evidence if each.source == IMAGE), None)

    @property
    def model(self) -> ModelStamp | None:
        """The stamp of the image model's answer."""
        return self.image_evidence.stamp if self.image_evidence else None

    @property
    def uncertainty(self) -> float | None:
        """The image model's: how unlike its training data the image is."""
        return self.image_evidence.uncertainty if self.image_evidence else None


class Reason(Frozen):
    """Why a verdict fell: one rule that fired, and what would have passed."""

    rule: str = Field(description="Stable name of the rule, e.g. `thresholds.creative.violence.block`.")
    verdict: Verdict
    label: str | None = None
    score: float | None = None
    source: str | None = Field(None, description="The source of evidence that gave the score; `a+b` where both did.")
    part: str | None = Field(None, description="The part of the label that the score was raised to.")
    threshold: float | None = None
    would_pass: str | None = Field(None, description="What would not have fired, e.g. `violence < 0.40`.")
    detail: str | None = None


class PolicyStamp(Frozen):
    """Which policy decided."""

    client: str
    version: str
    hash: str = Field(description="sha256 (hex) of the effective policy, inheritance applied.")


class StatementOfReasons(Frozen):
    """The fields a DSA (EU 2022/2065, art. 17) statement of reasons is made from."""

    automated_detection: bool = True
    automated_decision: bool = True
    ground: str
    facts: str


class Suitability(Frozen):
    category: str
    suitability: str | None = None


class AdtechTerms(Frozen):
    """The decision in the words of AdCOM and OpenRTB; tables in `moderation.adtech`."""

    audit_status: int = Field(description="AdCOM Audit.status.")
    audit_feedback: tuple[str, ...] = ()
    loss_code: int | None = Field(None, description="OpenRTB loss reason code, where the verdict is not allow.")
    cattax: int | None = None
    cat: tuple[str, ...] = ()
    attr: tuple[int, ...] = ()
    catswithsuitability: tuple[Suitability, ...] = ()


class Decision(Frozen):
    """One client's verdict on one event."""

    schema_version: Literal[1] = SCHEMA_VERSION
    decision_id: uuid.UUID = Field(description="uuid5 of event, client and policy hash: sinks may upsert by it.")
    event_id: Name
    client: Name
    surface: Surface
    verdict: Verdict
    reasons: tuple[Reason, ...] = Field(description="Every rule that fired, the deciding one first.")
    status: Status
    policy: PolicyStamp | None = Field(None, description="Null where the client is unknown.")
    model: ModelStamp | None = Field(None, description="Of the image model.")
    evidence: tuple[EvidenceSummary, ...] = Field((), description="Every source that was asked, and how that ended.")
    content_sha256: Sha256 | None = None
    scores: dict[str, Probability] = Field({}, description="By label, joined from all sources; absent: not scored.")
    uncertainty: float | None = None
    context: AdContext = AdContext()
    statement: StatementOfReasons | None = None
    adtech: AdtechTerms | None = None
    redecision: bool = False
    shadow: bool = False
    audit_sample: bool = Field(False, description="Drawn for review by deterministic sampling.")
    occurred_at: Moment | None = None
    scored_at: Moment
    decided_at: Moment


def decision_id(event_id: str, client: str, policy_hash: str) -> uuid.UUID:
    """The same event under the same policy always gets the same id."""
    return uuid.uuid5(DECISION_NAMESPACE, f"{event_id}\x1f{client}\x1f{policy_hash}")


class Reject(Frozen):
    """A record that could not even be parsed, kept so that nothing is lost."""

    schema_version: Literal[1] = SCHEMA_VERSION
    topic: str
    partition: int
    offset: int
    stage: str = Field(description="Which stage refused it: score or decide.")
    reason: str = Field(description="A stable snake_case word.")
    detail: str
    original_base64: Annotated[str, Field(max_length=8 * 1024 * 1024)] = Field(
        description="The record's bytes, from the start, capped."
    )
    original_size: int
    rejected_at: Moment


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str, limit: int = 300) -> str:
    """Untrusted text made safe for a log line or a `detail`: no control characters, capped."""
    clean = _CONTROL.sub(" ", text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
