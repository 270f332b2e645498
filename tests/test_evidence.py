"""Evidence of several sources becomes one number per label; events of version 1 are read as version 2."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moderation.events import AdContext, Evidence, ScoredEvent, Status, Surface
from moderation.evidence.contract import Place, overall_status
from moderation.evidence.joining import Origin, join_scores
from moderation.evidence.version_1 import ScoredEventV1, read_scored_event
from moderation.labels import Joining, Label, LabelCatalogue
from tests.catalogue import CATALOGUE
from tests.evidence import STAMP, evidence, image_evidence, image_scores

SOURCES = ("image", "text", "pack")
NAMES = ("a", "a.b", "a.b.c", "a.d", "e", "e.f")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def catalogue(joining: Joining = Joining.MAX, sources: tuple[str, ...] = ("text", "image")) -> LabelCatalogue:
    labels = tuple(Label(name, sources=sources, joining=joining) for name in NAMES)
    return LabelCatalogue("test", "1", "t1", labels)


@pytest.mark.parametrize(
    ("joining", "score", "source"),
    [(Joining.MAX, 0.9, "image"), (Joining.FIRST, 0.2, "text"), (Joining.NOISY_OR, 0.92, "text+image")],
)
def test_the_catalogue_says_how_scores_are_joined(joining: Joining, score: float, source: str) -> None:
    joined = join_scores(catalogue(joining), [image_evidence({"e": 0.9}), evidence("text", {"e": 0.2})])
    assert joined.scores == {"e": pytest.approx(score)}
    assert joined.origin("e") == Origin(source)


def test_a_source_that_the_label_does_not_list_does_not_count() -> None:
    joined = join_scores(catalogue(), [evidence("pack", {"e": 0.9}), image_evidence({"e": 0.1, "unknown": 1.0})])
    assert joined.scores == {"e": 0.1}


def test_the_next_source_counts_where_the_first_gave_no_score() -> None:
    failed = evidence("text", status=Status.MODEL_UNAVAILABLE)
    joined = join_scores(catalogue(Joining.FIRST), [failed, image_evidence({"e": 0.9})])
    assert (joined.scores, joined.origin("e").source) == ({"e": 0.9}, "image")


def test_a_label_is_at_least_its_largest_part_and_says_which() -> None:
    image = image_evidence({"a": 0.1, "a.b": 0.2, "a.d": 0.3})
    joined = join_scores(catalogue(), [image, evidence("text", {"a.b.c": 0.8})])
    assert joined.scores == {"a": 0.8, "a.b": 0.8, "a.b.c": 0.8, "a.d": 0.3}
    assert joined.origin("a") == Origin("text", "a.b.c")
    assert joined.origin("a").words() == "from text, by its part a.b.c"
    assert joined.origin("a.d").words() == ""


def test_a_missing_label_between_does_not_hide_a_part() -> None:
    joined = join_scores(catalogue(), [image_evidence({"a": 0.1, "a.b.c": 0.8})])
    assert joined.scores == {"a": 0.8, "a.b.c": 0.8}


def test_parts_never_make_up_for_a_label_that_nothing_scored() -> None:
    assert join_scores(catalogue(), [image_evidence({"a.b": 0.9})]).scores == {"a.b": 0.9}


scores = st.dictionaries(st.sampled_from([*NAMES, "unknown"]), st.floats(0, 1))
statuses = st.sampled_from([Status.OK, Status.OK, Status.MODEL_UNAVAILABLE])
given_evidence = st.lists(
    st.builds(
        lambda source, found, status: Evidence(source=source, scores=found, status=status),
        st.sampled_from(SOURCES),
        scores,
        statuses,
    ),
    unique_by=lambda each: each.source,
)
catalogues = st.builds(
    lambda rules: LabelCatalogue("t", "1", "t", tuple(Label(n, sources=s, joining=j) for n, (s, j) in rules.items())),
    st.fixed_dictionaries(
        {
            name: st.tuples(
                st.lists(st.sampled_from(SOURCES), min_size=1, unique=True).map(tuple), st.sampled_from(Joining)
            )
            for name in NAMES
        }
    ),
)


@given(catalogues, given_evidence)
def test_joined_scores_keep_their_promises(labels: LabelCatalogue, found: list[Evidence]) -> None:
    joined = join_scores(labels, found)
    good = {each.source: each.scores for each in found if each.status is Status.OK}
    for label in labels.labels:
        said = [good[source][label.name] for source in label.sources if label.name in good.get(source, {})]
        assert (label.name in joined.scores) == bool(said), "missing exactly where no listed source scored it"
        if not said:
            continue
        number = joined.scores[label.name]
        assert 0 <= number <= 1
        assert number >= (said[0] if label.joining is Joining.FIRST else max(said)) - 1e-12
        for whole in label.wholes:
            assert joined.scores.get(whole, 1.0) >= number, "a part never contradicts what it is a part of"
        assert set(joined.origin(label.name).source.split("+")) <= set(good)


@given(catalogues, given_evidence)
def test_a_failed_source_counts_as_one_that_was_not_asked(labels: LabelCatalogue, found: list[Evidence]) -> None:
    good = [each for each in found if each.status is Status.OK]
    assert join_scores(labels, found) == join_scores(labels, good)


@given(st.dictionaries(st.sampled_from(CATALOGUE.names), st.floats(0, 1)))
def test_one_source_that_agrees_with_itself_is_left_as_it_is(found: dict[str, float]) -> None:
    for part, parent in CATALOGUE.parts:
        if part in found and parent in found:
            found[parent] = max(found[parent], found[part])
    assert join_scores(CATALOGUE, [image_evidence(found)]).scores == found


class TestContract:
    @pytest.mark.parametrize(
        ("statuses", "overall"),
        [
            ([], Status.OK),
            ([Status.OK], Status.OK),
            ([Status.MODEL_UNAVAILABLE, Status.OK], Status.OK),
            ([Status.MODEL_REJECTED, Status.MODEL_UNAVAILABLE], Status.MODEL_REJECTED),
        ],
    )
    def test_an_event_is_examined_where_any_source_examined_it(self, statuses: list[Status], overall: Status) -> None:
        assert overall_status([evidence(f"s{n}", status=status) for n, status in enumerate(statuses)]) is overall

    def test_a_source_cannot_stand_twice(self) -> None:
        with pytest.raises(ValidationError, match="stands twice"):
            scored(evidence=(image_evidence(), image_evidence()))

    @pytest.mark.parametrize(
        "place", [{"box": (0, 0, 1.5, 1)}, {"box": (0, 0, 1)}, {"box": (0, 0, 1, 1), "words": "x" * 201}]
    )
    def test_places_are_shares_of_the_image_and_capped(self, place: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            Place.model_validate(place)
        whole = Place(box=(0, 0, 1, 1))
        with pytest.raises(ValidationError, match="at most 64"):
            image_evidence({}, places=(whole,) * 65)

    def test_what_is_written_is_read_again(self) -> None:
        place = Place(box=(0.1, 0.2, 0.3, 0.4), frame=2, label="political", score=0.9, words="Vote")
        event = scored(evidence=(image_evidence({"adult": 0.5}), evidence("text", language="en", places=(place,))))
        assert read_scored_event(event.model_dump_json()) == event


def scored(**fields: object) -> ScoredEvent:
    values = {"event_id": "e", "surface": Surface.PAGE, "status": Status.OK, "scored_at": NOW, **fields}
    return ScoredEvent.model_validate(values)


class TestVersion1:
    WRITTEN = (
        '{"schema_version":1,"event_id":"e1","surface":"creative","clients":["acme"],"context":{"crid":"7"},'
        '"occurred_at":null,"status":"OK","detail":null,"content_sha256":null,"perceptual_hash":null,'
        '"image":{"format":"PNG","width":3,"height":4,"frames":1,"views":2},"scores":{"violence":0.25},'
        '"uncertainty":0.5,"model":{"name":"m","version":"4","preprocessing":"p","calibration":"c"},"cached":true,'
        '"scored_at":"2026-11-22T00:00:00Z"}'
    )

    def test_its_scores_are_evidence_of_the_image_model(self) -> None:
        event = read_scored_event(self.WRITTEN)
        (image,) = event.evidence
        assert (event.schema_version, event.status, event.context.crid) == (2, Status.OK, "7")
        assert (image.source, image.scores, image.uncertainty, image.cached) == ("image", {"violence": 0.25}, 0.5, True)
        assert event.model == image.stamp
        assert event.model is not None
        assert event.model.version == "4"

    def test_what_it_became_is_written_and_read_as_version_2(self) -> None:
        event = read_scored_event(self.WRITTEN)
        assert ScoredEvent.model_validate_json(event.model_dump_json()) == event

    @pytest.mark.parametrize("change", [{"schema_version": None}, {}, {"note": "unknown fields are ignored"}])
    def test_it_is_known_by_its_version_or_by_its_lack_of_evidence(self, change: dict[str, object]) -> None:
        values = {key: value for key, value in (json.loads(self.WRITTEN) | change).items() if value is not None}
        assert image_scores(read_scored_event(json.dumps(values, indent=1))) == {"violence": 0.25}

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
    def test_a_status_stands_where_it_belongs(self, status: Status) -> None:
        old = ScoredEventV1(
            event_id="e", surface=Surface.PAGE, context=AdContext(), status=status, detail="why", scored_at=NOW
        )
        event = read_scored_event(old.model_dump_json())
        assert (event.status, event.detail) == (status, "why")
        sources = [(each.source, each.status, each.detail) for each in event.evidence]
        assert sources == ([("image", status, "why")] if status.name.startswith("MODEL") else [])

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"scores": {"violence": 2}}, "scores.violence"),
            ({"status": "FINE"}, "status"),
            ({"schema_version": 3}, "schema_version"),
            ({"schema_version": 2}, "evidence"),
        ],
    )
    def test_what_is_no_event_of_any_version_is_refused(self, change: dict[str, object], said: str) -> None:
        with pytest.raises(ValidationError) as caught:
            read_scored_event(json.dumps(json.loads(self.WRITTEN) | change))
        assert said in {".".join(map(str, mistake["loc"])) for mistake in caught.value.errors()}

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
    def test_nonsense_is_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            read_scored_event(text)


def test_a_stamp_belongs_to_one_source() -> None:
    event = scored(evidence=(evidence("text", {"political": 0.9}), image_evidence({"adult": 0.1})))
    assert event.model == STAMP
