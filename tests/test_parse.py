import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import EventError
from stream.parse import parse_image_event, parse_scored_event
from tests.records import event_json, json_record, png, raw_record, record

SCORED = {"event_id": "e", "surface": "creative", "status": "OK", "scored_at": "2026-01-02T00:00:00"}


def test_both_encodings_give_the_same_event_and_bytes() -> None:
    inline, raw = parse_image_event(json_record(data=png())), parse_image_event(raw_record(png()))
    assert inline.data == raw.data == png()
    assert inline.event.model_copy(update={"image": None}) == raw.event


def test_a_url_event_has_no_bytes_yet_and_keeps_its_query_only_for_fetching() -> None:
    incoming = parse_image_event(
        json_record(
            image={"url": "https://cdn.example/a.jpg?sig=1"}, context={"page_url": "https://a.example/p?user=7"}
        )
    )
    assert incoming.data is None
    assert incoming.event.image is not None
    assert incoming.event.image.url == "https://cdn.example/a.jpg?sig=1"
    assert incoming.event.context.page_url == "https://a.example/p"


def test_unknown_fields_do_not_reject_an_event_and_do_not_survive() -> None:
    event = parse_image_event(json_record(data=png(), user_id="u-77", context={"ip": "192.0.2.1"})).event
    assert "u-77" not in event.model_dump_json()
    assert "192.0.2.1" not in event.model_dump_json()


def test_the_record_dates_an_event_that_does_not_date_itself() -> None:
    event = parse_image_event(json_record(data=png())).event
    assert event.occurred_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc() -> None:
    event = parse_image_event(json_record(data=png(), occurred_at="2026-01-02T03:04:05")).event
    assert event.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_record_stamped_with_an_impossible_time_is_still_an_event() -> None:
    stamped = replace(json_record(data=png()), timestamp_ms=2**62)
    assert parse_image_event(stamped).event.occurred_at is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"perceptual_hash": "no hash"}, "invalid_event"),
        ({"scores": {"violence": float("nan")}}, "invalid_event"),
        ({"uncertainty": float("nan")}, "invalid_event"),
    ],
)
def test_a_scored_event_that_could_mislead_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_scored_event(record(json.dumps({**SCORED, **changes}).encode()))
    assert caught.value.reason == reason


def test_a_scored_event_without_a_zone_is_utc() -> None:
    assert parse_scored_event(record(json.dumps(SCORED).encode())).scored_at == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (record(None), "null_value"),
        (record(b""), "not_json"),
        (record(b"\xff\xd8\xff not an event"), "not_json"),
        (record(b"[]"), "invalid_event"),
        (record(b"{}"), "invalid_event"),
        (record(json.dumps(event_json(schema_version=9)).encode()), "schema_version"),
        (record(json.dumps(event_json()).encode()), "no_image"),
        (json_record(image={}), "invalid_event"),
        (json_record(image={"base64": "a", "url": "b"}), "invalid_event"),
        (json_record(image={"base64": "***"}), "bad_base64"),
        (json_record(data=png(), clients=["ü" * 190 for _ in range(1000)]), "event_too_large"),
        (json_record(data=png(), clients=[str(n) for n in range(1001)]), "invalid_event"),
        (json_record(data=png(), clients=["a\x1fb"]), "invalid_event"),
        (json_record(data=png(), event_id="a\x1fb"), "invalid_event"),
        (json_record(data=png(), context={"cat": ["c" * 4000 for _ in range(5)]}), "event_too_large"),
        (json_record(data=png(), context={"adomain": ["a.b"] * 257}), "invalid_event"),
        (json_record(data=png(), context={"domain": "a." * 2100}), "invalid_event"),
        (raw_record(png(), image={"url": "https://a.example"}), "two_images"),
        (record(png(), headers={"adjudicate-event": b"{"}), "not_json"),
    ],
)
def test_what_cannot_be_parsed_says_why(broken: object, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_image_event(broken)  # type: ignore[arg-type]
    assert caught.value.reason == reason
    assert "\n" not in caught.value.detail


def test_large_images_fit_the_json_encoding() -> None:
    assert len(parse_image_event(json_record(data=bytes(9_000_000))).data or b"") == 9_000_000


@given(st.binary(max_size=300))
def test_random_bytes_are_an_event_error_or_an_event(value: bytes) -> None:
    for parse in (parse_image_event, parse_scored_event):
        try:
            parse(record(value))
        except EventError as error:
            assert error.reason.isidentifier()


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = st.sampled_from(["event_id", "surface", "clients", "image", "context", "occurred_at", "schema_version"])


@given(st.dictionaries(_FIELDS, _JSON, max_size=7))
def test_events_with_wrong_fields_are_an_event_error_or_an_event(content: dict[str, object]) -> None:
    try:
        parse_image_event(record(json.dumps({**event_json(), **content}).encode()))
    except EventError as error:
        assert error.reason.isidentifier()
