"""The cache against a Redis that is away, slow or lying; the real one answers in tests/services and tests/faults."""

import json
from typing import Any

import pytest
from redis import ConnectionError as RedisConnectionError

from moderation.events import ImageFacts, ModelStamp, Status
from moderation.evidence.source import evidence_key
from stream import cache
from stream.cache import EvidenceCache, KnownEvidence, RedisPoisonList
from stream.settings import CacheSettings, RedisSettings
from tests.evidence import image_evidence

STAMP = ModelStamp(name="m", version="1", preprocessing="p1", calibration="c1")
SHA, PDQ = "ab" * 32, "cd" * 32
KEY = evidence_key("image", STAMP, SHA)
KNOWN = KnownEvidence(
    key=KEY,
    evidence=image_evidence({"violence": 0.5}, stamp=STAMP),
    image=ImageFacts(format="PNG", width=1, height=1),
    perceptual_hash=PDQ,
)


ANSWER = KNOWN.evidence.model_dump(mode="json")


class Shelf:
    """Redis in a dictionary; answers `lie` instead where one is given, raises where it is away."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.lie: Any = None
        self.away = False
        self.calls = 0

    def mget(self, keys: list[str]) -> Any:
        self._note()
        return [self.values.get(key) for key in keys] if self.lie is None else self.lie

    def pipeline(self, transaction: bool) -> "Shelf":
        assert not transaction
        return self

    def set(self, key: str, value: str, ex: int) -> None:
        assert ex > 0
        self.values[key] = value.encode()

    def execute(self) -> None:
        self._note()

    def close(self) -> None: ...

    def _note(self) -> None:
        self.calls += 1
        if self.away:
            raise RedisConnectionError("gone")

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(cache, "_connect", lambda _: made)
    return made


def fresh() -> EvidenceCache:
    """A process that has just started."""
    return EvidenceCache(CacheSettings(), RedisSettings())


def test_what_one_process_stored_another_finds(shelf: Shelf) -> None:
    fresh().put({KEY: KNOWN})
    assert fresh().get([KEY, "other"]) == {KEY: KNOWN}


@pytest.mark.parametrize("lie", [[], [None, None], 7, b"OK", [7], [[b"nested"]], [b"not json"], [b"{}"]])
def test_a_lie_is_a_miss(shelf: Shelf, lie: object) -> None:
    shelf.lie = lie
    assert fresh().get([KEY]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"key": evidence_key("image", STAMP.model_copy(update={"calibration": "c2"}), SHA)},
        {"key": evidence_key("text", STAMP, SHA)},
        {"evidence": {**ANSWER, "source": "text"}},
        {"evidence": {**ANSWER, "stamp": {**STAMP.model_dump(), "version": "2"}}},
        {"evidence": {**ANSWER, "stamp": None}},
        {"evidence": {**ANSWER, "scores": {"violence": float("nan")}}},
        {"perceptual_hash": "no hash"},
    ],
)
def test_scores_of_anything_else_are_never_taken_for_these(shelf: Shelf, change: dict[str, object]) -> None:
    shelf.values[KEY] = json.dumps({**KNOWN.model_dump(mode="json"), **change}).encode()
    assert fresh().get([KEY]) == {}


def test_an_absent_redis_is_asked_once_and_then_left_alone(shelf: Shelf) -> None:
    shelf.away = True
    asking = fresh()
    poison = RedisPoisonList(RedisSettings(), "p1")
    for _ in range(10):
        assert asking.get(["another key"]) == {}
        asking.put({KEY: KNOWN})
        assert poison.seen(SHA) is None
        poison.add(SHA, Status.TIMEOUT)
    assert shelf.calls == 2, "one try of each: every try costs a timeout"


def test_a_poisonous_image_is_remembered_for_its_preprocessing(shelf: Shelf) -> None:
    RedisPoisonList(RedisSettings(), "p1").add(SHA, Status.DECODE_CRASHED)
    assert RedisPoisonList(RedisSettings(), "p1").seen(SHA) is Status.DECODE_CRASHED
    assert RedisPoisonList(RedisSettings(), "p2").seen(SHA) is None


@pytest.mark.parametrize("word", ["OK", "MODEL_REJECTED", "nonsense", ""])
def test_a_status_that_no_decoder_ends_with_is_not_believed(shelf: Shelf, word: str) -> None:
    """`OK` would make an image without scores look examined."""
    poison = RedisPoisonList(RedisSettings(), "p1")
    poison.add(SHA, Status.TIMEOUT)
    shelf.values = dict.fromkeys(shelf.values, word.encode())
    assert poison.seen(SHA) is None
