"""The score stage with two sources of evidence: each has its own answer, key and failure."""

from collections.abc import Sequence

from moderation.errors import ImageError, ModelError, ModelRejected, ModelUnavailable
from moderation.events import Evidence, ModelStamp, Status
from moderation.evidence.image_model import ImageModel
from moderation.evidence.source import failed_evidence
from moderation.images import Views
from stream.patience import PatientModel
from stream.settings import TritonSettings
from tests.evidence import evidence
from tests.fakes import FakeClassifier, InlineDecoder
from tests.records import json_record, png
from tests.test_score import RED, scored, stage


class FakeReader:
    """A second source: `political` is high where the image is red. `failures` are answered first, one a call."""

    name = "text"

    def __init__(self, failures: list[ModelError] | None = None) -> None:
        self.failures = failures or []
        self.current = ModelStamp(name="reader", version="1", preprocessing="r1")
        self.examined = 0
        self.away = False

    def stamp(self) -> ModelStamp:
        return self.current

    def examine(self, images: Sequence[Views]) -> list[Evidence]:
        if self.failures:
            return [failed_evidence(self.name, self.failures.pop(0))] * len(images)
        self.examined += len(images)
        return [evidence("text", {"political": float(each.pixels[..., 0].mean() / 255)}, stamp=self.current)
                for each in images]  # fmt: skip

    def is_away(self) -> bool:
        return self.away

    def close(self) -> None: ...


class TestTwoSources:
    @staticmethod
    def image_model(classifier: FakeClassifier | None = None) -> ImageModel:
        return ImageModel(PatientModel(classifier or FakeClassifier(), TritonSettings(patience_s=0.1)))

    def test_each_gives_its_own_evidence_under_its_own_stamp(self) -> None:
        with stage(sources=[self.image_model(), FakeReader()]) as made:
            (event,) = scored(made, json_record("a", png(RED)))
        assert [(each.source, each.status) for each in event.evidence] == [("image", Status.OK), ("text", Status.OK)]
        assert event.evidence[1].scores == {"political": 1.0}
        assert event.evidence[0].stamp != event.evidence[1].stamp

    def test_each_is_known_by_its_own_key(self) -> None:
        classifier, reader, decoder = FakeClassifier(), FakeReader(), InlineDecoder()
        with stage(decoder=decoder, sources=[self.image_model(classifier), reader]) as made:
            scored(made, json_record("a", png(RED)))
            reader.current = reader.current.model_copy(update={"version": "2"})
            (event,) = scored(made, json_record("b", png(RED)))
            (known,) = scored(made, json_record("c", png(RED)))
        assert [each.cached for each in event.evidence] == [True, False], "only the reader was swapped"
        assert [each.cached for each in known.evidence] == [True, True]
        assert (classifier.batches, reader.examined, decoder.decoded) == ([1], 2, 2)
        assert known.image == event.image

    def test_one_that_fails_concerns_itself_alone(self) -> None:
        reader = FakeReader([ModelRejected("too many words")])
        with stage(sources=[self.image_model(), reader]) as made:
            (event,) = scored(made, json_record("a", png(RED)))
            (again,) = scored(made, json_record("b", png(RED)))
        assert (event.status, event.detail) == (Status.OK, None)
        assert (event.evidence[1].status, event.evidence[1].detail) == (Status.MODEL_REJECTED, "too many words")
        assert [each.status for each in again.evidence] == [Status.OK, Status.OK], "an error is never cached"

    def test_where_all_fail_the_event_says_what_the_first_says(self) -> None:
        classifier = FakeClassifier([ModelUnavailable("gone") for _ in range(1000)])
        with stage(sources=[self.image_model(classifier), FakeReader([ModelRejected("no")])]) as made:
            (event,) = scored(made, json_record("a", png(RED)))
        assert (event.status, event.detail) == (Status.MODEL_UNAVAILABLE, "gone")
        assert len(event.evidence) == 2

    def test_what_cannot_be_decoded_any_more_keeps_what_was_known(self) -> None:
        crashing = InlineDecoder()
        reader = FakeReader([ModelRejected("not yet")])
        with stage(decoder=crashing, sources=[self.image_model(), reader]) as made:
            scored(made, json_record("a", png(RED)))
            crashing._decode = _crash
            (event,) = scored(made, json_record("b", png(RED)))
        assert event.status is Status.OK
        assert [each.status for each in event.evidence] == [Status.OK, Status.DECODE_CRASHED]

    def test_the_stage_waits_where_one_is_away(self) -> None:
        reader = FakeReader()
        with stage(sources=[self.image_model(), reader]) as made:
            assert made.is_ready()
            reader.away = True
            assert not made.is_ready()


def _crash(data: bytes, size: int) -> Views:
    raise ImageError(Status.DECODE_CRASHED, "the decoder died")
