"""Scored events for the policy tools: from a topic, or from an image scored now."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from moderation.classifier import TritonClassifier
from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, Surface
from moderation.evidence.image_model import ImageModel
from moderation.evidence.version_1 import read_scored_event
from stream.cache import EvidenceCache
from stream.kafka import Record, read_committed
from stream.parse import EVENT_HEADER
from stream.patience import PatientModel
from stream.score import ScoreStage
from stream.settings import CacheSettings, RedisSettings, Settings, TritonSettings
from stream.start_score import decode_pool, triton_address


def from_topic(settings: Settings, topic: str) -> Iterator[ScoredEvent]:
    """Every committed scored event of a topic, up to its end at the time of the call. Raises BrokerError."""
    for record in read_committed(settings.kafka, [topic]):
        if record is None or record.value is None:
            continue
        try:
            yield read_scored_event(record.value)
        except ValidationError as error:
            place = f"{record.topic}[{record.partition}]@{record.offset}"
            raise ConfigurationError(f"{place}: not a scored event; is {topic} the topic of scores?") from error


def score_image(path: Path, surface: Surface, context: dict[str, object], settings: Settings) -> ScoredEvent:
    """Score one image by the same stage that workers run, without any cache. Waits briefly for the model."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    event = {"event_id": path.name, "surface": surface.value, "context": context}
    record = Record("creatives", 0, 0, None, data, {EVENT_HEADER: json.dumps(event).encode()}, 0)
    stage = _stage(settings)
    try:
        (outputs,) = stage.submit([record]).result()
    finally:
        stage.close()
    if outputs[0].topic != settings.topics.scores:
        raise ConfigurationError(f"the context is not valid: {outputs[0].value!r}")
    return read_scored_event(outputs[0].value)


def served_labels(triton: TritonSettings) -> tuple[str, ...]:
    """What the served model scores. Raises ModelUnavailable."""
    model = TritonClassifier(triton_address(triton))
    try:
        return model.spec().labels
    finally:
        model.close()


def _stage(settings: Settings) -> ScoreStage:
    triton = settings.triton.model_copy(update={"patience_s": 5.0})
    model = PatientModel(TritonClassifier(triton_address(triton)), triton)
    pool = decode_pool(settings, model.spec().size)
    return ScoreStage(
        settings, [ImageModel(model)], pool, EvidenceCache(CacheSettings(entries=0), RedisSettings()), None
    )
