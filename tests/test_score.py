import gc
import json
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moderation.classifier import ModelSpec, Scores
from moderation.errors import ImageError, ModelError, ModelOverloaded, ModelRejected, ModelUnavailable
from moderation.events import Reject, ScoredEvent, Status
from moderation.evidence.image_model import ImageModel
from moderation.evidence.source import EvidenceSource
from moderation.evidence.version_1 import read_scored_event
from moderation.images import Views, views
from stream.cache import EvidenceCache
from stream.kafka import Record
from stream.patience import PatientModel
from stream.score import Fetcher, ScoreStage
from stream.settings import CacheSettings, ImageSettings, RedisSettings, Settings, TritonSettings
from tests.evidence import image_scores, is_cached
from tests.fakes import FakeClassifier, FakeFetcher, InlineDecoder
from tests.records import json_record, png, raw_record, record

RED, GREEN = (255, 0, 0), (0, 255, 0)


@contextmanager
def stage(
    classifier: FakeClassifier | None = None,
    decoder: InlineDecoder | None = None,
    fetcher: Fetcher | None = None,
    settings: Settings | None = None,
    sources: Sequence[EvidenceSource] = (),
) -> Iterator[ScoreStage]:
    settings = settings or Settings(triton=TritonSettings(patience_s=0.2))
    made = ScoreStage(
        settings,
        sources or [ImageModel(PatientModel(classifier or FakeClassifier(), settings.triton))],
        decoder or InlineDecoder(),
        EvidenceCache(CacheSettings(), RedisSettings()),
        fetcher,
    )
    try:
        yield made
    finally:
        made.close()


def scored(made: ScoreStage, *records: Record) -> list[ScoredEvent]:
    outputs = made.submit(records).result(10)
    assert [len(each) for each in outputs] == [1] * len(records)
    assert all(each[0].topic == "scores" for each in outputs)
    return [read_scored_event(each[0].value) for each in outputs]


def test_every_record_comes_out_in_its_place() -> None:
    with stage() as made:
        first, second = scored(made, json_record("a", png(RED)), raw_record(png(GREEN), "b"))
    assert (first.event_id, image_scores(first)) == ("a", {"violence": 1.0, "adult": 0.0, "political": 0.0})
    assert (second.event_id, image_scores(second)) == ("b", {"violence": 0.0, "adult": 1.0, "political": 0.0})
    assert first.status is Status.OK
    assert first.model is not None
    assert first.model.version == "1"


def test_a_batch_is_one_request_and_identical_images_are_scored_once() -> None:
    classifier, decoder = FakeClassifier(), InlineDecoder()
    with stage(classifier, decoder) as made:
        scored(made, *(json_record(str(n), png(RED if n % 2 else GREEN)) for n in range(10)))
        assert classifier.batches == [2]
        assert decoder.decoded == 2


def test_known_scores_need_neither_decoder_nor_model() -> None:
    classifier, decoder = FakeClassifier(), InlineDecoder()
    with stage(classifier, decoder) as made:
        (fresh,) = scored(made, json_record("a", png()))
        (known,) = scored(made, json_record("b", png()))
    assert (is_cached(fresh), is_cached(known)) == (False, True)
    assert image_scores(known) == image_scores(fresh)
    assert decoder.decoded == 1


def test_scores_of_another_model_version_are_not_reused() -> None:
    classifier = FakeClassifier()
    with stage(classifier) as made:
        scored(made, json_record("a", png()))
        stamp = classifier.current.stamp.model_copy(update={"version": "2"})
        classifier.current = type(classifier.current)(stamp, classifier.current.labels, classifier.current.size)
        (again,) = scored(made, json_record("b", png()))
    assert not is_cached(again)
    assert again.model == stamp


def test_an_image_that_cannot_be_judged_costs_nobody_else() -> None:
    with stage() as made:
        good, bad, empty = scored(
            made, json_record("a", png()), json_record("b", b"not an image"), json_record("c", b"")
        )
    assert good.status is Status.OK
    assert bad.status is Status.DECODE_UNSUPPORTED
    assert bad.detail
    assert image_scores(bad) == {}
    assert empty.status is not Status.OK


def test_an_unparsable_record_is_rejected_with_its_bytes() -> None:
    with stage() as made:
        ((output,), (good,)) = made.submit([record(b"{nonsense"), json_record("a", png(), offset=1)]).result(10)
    reject = Reject.model_validate_json(output.value)
    assert output.topic == "rejects"
    assert (reject.stage, reject.reason, reject.original_size) == ("score", "not_json", 9)
    assert good.topic == "scores"


@pytest.mark.parametrize("passing", [ModelUnavailable("gone"), ModelOverloaded("busy")])
def test_an_absent_model_is_waited_for(passing: ModelError) -> None:
    with stage(FakeClassifier([passing])) as made:
        assert scored(made, json_record("a", png()))[0].status is Status.OK
        assert made.is_ready()


def test_when_patience_ends_the_event_says_so() -> None:
    classifier = FakeClassifier([ModelUnavailable("gone") for _ in range(1000)])
    classifier.ready = False
    model = PatientModel(classifier, TritonSettings(patience_s=0.2))
    with stage(sources=[ImageModel(model)]) as made:
        (event,) = scored(made, json_record("a", png()))
        assert event.status is Status.MODEL_UNAVAILABLE
        assert image_scores(event) == {}
        assert not made.is_ready()
        classifier.ready = True
        classifier.failures.clear()
        model._last_probe = 0.0
        assert made.is_ready()


def test_a_refusal_of_the_model_is_not_retried() -> None:
    with stage(FakeClassifier([ModelRejected("bad shape")])) as made:
        first, second = scored(made, json_record("a", png())), scored(made, json_record("b", png()))
    assert first[0].status is Status.MODEL_REJECTED
    assert second[0].status is Status.OK


def test_errors_are_not_cached() -> None:
    with stage(FakeClassifier([ModelRejected("once")])) as made:
        scored(made, json_record("a", png()))
        assert scored(made, json_record("b", png()))[0].status is Status.OK


def test_urls_are_fetched_where_that_is_on() -> None:
    pages: dict[str, bytes | ImageError] = {
        "https://a.example/1": png(RED),
        "https://a.example/2": ImageError(Status.FETCH_TIMEOUT, "2 s"),
    }
    with stage(fetcher=FakeFetcher(pages)) as made:
        good, late = scored(made, *(json_record(url[-1], image={"url": url}) for url in pages))
    assert image_scores(good)["violence"] == 1.0
    assert late.status is Status.FETCH_TIMEOUT


def test_urls_are_refused_where_fetching_is_off() -> None:
    with stage() as made:
        (event,) = scored(made, json_record(image={"url": "https://a.example/1"}))
    assert event.status is Status.FETCH_FORBIDDEN
    assert "fetch.enabled" in (event.detail or "")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a\x00b", "missing.png", "."])
def test_files_outside_the_image_root_are_not_read(name: str, tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (root / "fine.png").write_bytes(png())
    with stage(settings=Settings(images=ImageSettings(root=root))) as made:
        events = [json_record("a", image={"file": name}), json_record("b", image={"file": "fine.png"})]
        refused, fine = scored(made, *events)
    assert refused.status in {Status.FETCH_FORBIDDEN, Status.FETCH_FAILED}
    assert fine.status is Status.OK


def test_oversized_inline_images_are_not_decoded() -> None:
    decoder = InlineDecoder()
    with stage(decoder=decoder, settings=Settings(images=ImageSettings(max_bytes=100))) as made:
        (event,) = scored(made, json_record("a", png(size=(400, 300)) + bytes(200)))
    assert event.status is Status.TOO_LARGE
    assert decoder.decoded == 0


def test_all_views_count_and_the_worst_decides() -> None:
    tall = png(RED, size=(40, 400))
    with stage() as made:
        (event,) = scored(made, json_record("a", tall))
    assert event.image is not None
    assert event.image.views > 1
    assert image_scores(event)["violence"] == 1.0


def test_nothing_private_reaches_the_scores_topic() -> None:
    fields: dict[str, Any] = {
        "context": {"page_url": "https://u:pw@a.example/x?uid=123#f", "ip": "192.0.2.9"},
        "user": {"id": "u-9"},
    }
    with stage() as made:
        text = json.dumps(scored(made, json_record("a", png(), **fields))[0].model_dump(mode="json"))
    assert "https://a.example/x" in text
    assert not any(secret in text for secret in ("123", "u:pw", "192.0.2.9", "u-9"))


def test_a_slow_model_gets_longer_deadlines_until_it_can_finish() -> None:
    class Slow(FakeClassifier):
        def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
            if timeout_s < 3.0:
                self.failures = [ModelOverloaded("deadline")]
            return super().submit(images, timeout_s)

    with stage(Slow(), settings=Settings(triton=TritonSettings(patience_s=60, timeout_s=1.0))) as made:
        assert scored(made, json_record("a", png()))[0].status is Status.OK


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["values", "uncertainty"])
def test_a_score_that_is_no_number_is_never_taken_for_a_low_one(output: str, value: float) -> None:
    class Overflowing(FakeClassifier):
        def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
            answer = super().submit(images, timeout_s)
            getattr(answer.result(), output)[0] = value
            return answer

    with stage(Overflowing()) as made:
        bad, good = scored(made, json_record("a", png(RED)), json_record("b", png(GREEN)))
        assert (bad.status, image_scores(bad)) == (Status.MODEL_REJECTED, {})
        assert good.status is Status.OK
        assert is_cached(scored(made, json_record("c", png(GREEN)))[0])
        assert not is_cached(scored(made, json_record("d", png(RED)))[0])


def test_a_model_that_is_away_before_the_look_up_gives_every_event_its_status() -> None:
    class Gone(FakeClassifier):
        def spec(self) -> ModelSpec:
            raise ModelUnavailable("gone")

    with stage(Gone()) as made:
        assert scored(made, json_record("a", png()))[0].status is Status.MODEL_UNAVAILABLE


def test_fresh_scores_of_a_batch_are_stored_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[int] = []
    with stage() as made:
        monkeypatch.setattr(made._cache, "put", lambda known: stored.append(len(known)))
        scored(made, *(json_record(str(n), png((n, 0, 0))) for n in range(5)))
    assert stored == [5]


def test_a_batch_with_failures_lets_its_bytes_and_pixels_go_without_the_garbage_collector() -> None:
    held: list[weakref.ref[NDArray[np.uint8]]] = []

    def decode(data: bytes, size: int) -> Views:
        found = views(data, size)
        held.append(weakref.ref(found.pixels))
        return found

    limits = Settings(images=ImageSettings(max_bytes=2000))
    with stage(decoder=InlineDecoder(decode), settings=limits) as made:
        gc.collect()
        gc.disable()
        try:
            too_large = json_record("c", b"x" * 3000)
            batch = [json_record("a", png()), json_record("b", b"no image"), too_large]
            assert len(scored(made, *batch)) == 3
            assert held
            assert all(pixels() is None for pixels in held)
        finally:
            gc.enable()


def test_scores_are_keyed_by_event_whatever_the_producers_key() -> None:
    with stage() as made:
        outputs = made.submit([json_record("a", png()), json_record("b", png())]).result(10)
    assert [each[0].key for each in outputs] == [b"a", b"b"]
