"""Messages as producers send them: taken where the meaning is certain, else refused with field and remedy."""

import base64
import gzip
import json
import struct
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import EventError
from moderation.events import ImageEvent
from stream.json_value import read_json
from stream.parse import parse_image_event, read_base64
from tests.records import event_json, json_record, png, raw_record, record

EVENT = event_json(image={"url": "https://cdn.example/a.png"}, context={"crid": "Ünï-1"})
TEXT = json.dumps(EVENT, ensure_ascii=False)


def framed(payload: bytes, schema_id: int = 17) -> bytes:
    return struct.pack(">bI", 0, schema_id) + payload


@pytest.mark.parametrize(
    "value",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        *(TEXT.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")),
        "\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"),
        framed(TEXT.encode()),
        framed(TEXT.encode(), 0x7B000001),
        framed(TEXT.encode("utf-8-sig")),
        framed(json.dumps(TEXT).encode()),
        framed(b"  " + TEXT.encode(), 123),
        json.dumps(TEXT).encode(),
        json.dumps("\ufeff" + TEXT).encode(),
        b"\n\t " + TEXT.encode() + b"\r\n",
    ],
)
def test_the_same_event_in_every_encoding(value: bytes) -> None:
    assert parse_image_event(record(value)).event.context.crid == "Ünï-1"


@pytest.mark.parametrize(
    ("value", "reason", "remedy"),
    [
        (framed(b"\x02\x06abc\x00"), "schema_registry_framing", "schema id 17"),
        (framed(b"\x00\x0a\x03abc"), "schema_registry_framing", "JSON Schema serializer"),
        (gzip.compress(TEXT.encode()), "compressed", "compression.type"),
        (b"\x28\xb5\x2f\xfd" + TEXT.encode(), "compressed", "zstd"),
        (png(), "not_json", "header `adjudicate-event`"),
        (TEXT.encode("latin-1"), "not_json", "UTF-8"),
        (b"  ", "not_json", "empty"),
        (b"event_id=1&surface=page", "not_json", "send the event as JSON"),
        (b'{"event_id": "a", "event_id": "b"}', "duplicate_key", "event_id: stands twice"),
        (b'{"event_id": "a", "context": {"country": "NO", "country": "DE"}}', "duplicate_key", "country"),
        (b'{"event_id": "a", "x": NaN}', "not_json", "NaN is no JSON number"),
        (b'{"event_id": "a", "x": -Infinity}', "not_json", "leave the field out"),
        (b'{"x":' + b"[" * 100_000, "not_json", "nested too deeply"),
        (b"[" + TEXT.encode() + b"]", "invalid_event", "record of its own"),
        (framed(b"[" + TEXT.encode() + b"]"), "invalid_event", "record of its own"),
        (json.dumps({"schema": None, "payload": EVENT}).encode(), "connect_envelope", "schemas.enable=false"),
        (b'{"x": 1' + b"0" * 5000 + b"}", "not_json", "JSON"),
    ],
)
def test_what_is_refused_names_the_remedy(value: bytes, reason: str, remedy: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_image_event(record(value))
    assert caught.value.reason == reason
    assert remedy in caught.value.detail
    assert "\n" not in caught.value.detail


def test_the_event_header_is_read_alike() -> None:
    sent = raw_record(png())
    header = sent.headers["adjudicate-event"].decode().encode("utf-16")
    assert parse_image_event(record(png(), headers={"adjudicate-event": header})).data == png()


def parsed(**fields: Any) -> ImageEvent:
    return parse_image_event(json_record(data=png(), **fields)).event


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"crid": 8841}, {"crid": "8841"}),
        ({"crid": " \ufeffCR-1"}, {"crid": " \ufeffCR-1"}),
        ({"seat": 0, "campaign": -3, "deal": 2**53 - 1}, {"seat": "0", "campaign": "-3", "deal": str(2**53 - 1)}),
        ({"crid": 8841.0, "seat": 1e3}, {"crid": "8841", "seat": "1000"}),
        ({"crid": ["CR-1"], "seat": []}, {"crid": "CR-1", "seat": None}),
        (
            {"domain": ["a.example"], "page_url": ["https://a.example/b"]},
            {"domain": "a.example", "page_url": "https://a.example/b"},
        ),
        (
            {"cattax": [7], "declared_political": [True], "impressions": [5]},
            {"cattax": 7, "declared_political": True, "impressions": 5},
        ),
        ({"domain": 1207472156, "adomain": [1207472156]}, {"domain": "1207472156", "adomain": ("1207472156",)}),
        ({"adomain": "a.example"}, {"adomain": ("a.example",)}),
        ({"adomain": None, "cat": None}, {"adomain": (), "cat": ()}),
        ({"adomain": ["a.example", None]}, {"adomain": ("a.example",)}),
        ({"adomain": '["a.example","b.example"]'}, {"adomain": ("a.example", "b.example")}),
        ({"cat": 386, "cattax": "7"}, {"cat": ("386",), "cattax": 7}),
        ({"cat": [386.0], "cattax": 7.0}, {"cat": ("386",), "cattax": 7}),
        ({"cat": [386, "387"], "cattax": ""}, {"cat": ("386", "387"), "cattax": None}),
        ({"declared_political": "TRUE "}, {"declared_political": True}),
        ({"declared_political": 1}, {"declared_political": True}),
        ({"declared_political": "0"}, {"declared_political": False}),
        ({"declared_political": ""}, {"declared_political": None}),
        ({"impressions": "12000"}, {"impressions": 12000}),
        ({"country": "", "domain": ""}, {"country": "", "domain": ""}),
        ({"country": 47}, {"country": "47"}),
        ({"country": False}, {"country": "False"}),
        ({"country": ["NO"]}, {"country": "NO"}),
        ({"page_url": "https://u:p@a.example/@me?q=" + "x" * 9000}, {"page_url": "https://a.example/@me"}),
        ({"page_url": "http://[bad?user=7"}, {"page_url": "http://[bad"}),
        ({"domain": "https://a.example/?user=7#x"}, {"domain": "https://a.example/"}),
        ({"adomain": "u@a.example/?m=x,y,https://b.example?z"}, {"adomain": ("a.example/,https://b.example",)}),
    ],
)
def test_values_of_the_context_as_sent(sent: dict[str, Any], meant: dict[str, Any]) -> None:
    context = parsed(context=sent).context
    assert {name: getattr(context, name) for name in meant} == meant


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"clients": "acme"}, {"clients": ("acme",)}),
        ({"clients": None}, {"clients": ()}),
        ({"clients": [7, None]}, {"clients": ("7",)}),
        ({"context": None}, {"context": parsed().context}),
        ({"schema_version": "1"}, {"schema_version": 1}),
        ({"schema_version": 1.0}, {"schema_version": 1}),
        ({"event_id": 7}, {"event_id": "7"}),
        ({"surface": " Creative"}, {"surface": "creative"}),
        ({"unknown": {"deep": [1, 2]}}, {"event_id": "e1"}),
    ],
)
def test_values_of_the_event_as_sent(sent: dict[str, Any], meant: dict[str, Any]) -> None:
    event = parse_image_event(
        record(json.dumps({**event_json(image={"url": "https://a.example"}), **sent}).encode())
    ).event
    assert {name: getattr(event, name) for name in meant} == meant


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"context": {"crid": 1.5}}, "context.crid: a number with a fraction is no id: send the id as text"),
        ({"context": {"crid": 2**60}}, "context.crid: a number of so many digits may have lost some"),
        ({"context": {"crid": True}}, "context.crid: a boolean is no id"),
        ({"context": {"crid": 1e300}}, "context.crid: a number of so many digits may have lost some"),
        ({"context": {"crid": ["x", "y"]}}, "context.crid: Input should be a valid string (send text, in quotes)"),
        ({"context": {"adomain": {"a": 1}}}, "context.adomain: Input should be a valid tuple (send a list)"),
        ({"context": {"declared_political": "perhaps"}}, "(send true or false)"),
        ({"context": {"cattax": "IAB"}}, "context.cattax: Input should be a valid integer"),
        ({"context": "acme"}, "context: Input should be a valid dictionary or instance of AdContext (send an object)"),
        ({"event_id": "   "}, "event_id: is blank: give every event an id of its own"),
        ({"event_id": None}, "event_id: Input should be a valid string (send text, in quotes)"),
        ({"event_id": "\ud800"}, "event_id: "),
        ({"surface": "video"}, "surface: Input should be 'creative' or 'page'"),
        ({"occurred_at": "yesterday"}, "send a time like 2026-11-25T12:00:00Z"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused_with_field_and_remedy(sent: dict[str, Any], words: str) -> None:
    value = json.dumps({**event_json(image={"url": "https://a.example"}), **sent}).encode()
    with pytest.raises(EventError) as caught:
        parse_image_event(record(value))
    assert caught.value.reason == "invalid_event"
    assert words in caught.value.detail


STANDARD = base64.b64encode(png()).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        STANDARD.rstrip("="),
        STANDARD.replace("+", "-").replace("/", "_"),
        base64.urlsafe_b64encode(png()).decode().rstrip("="),
        base64.encodebytes(png()).decode(),
        "\r\n ".join(STANDARD[at : at + 76] for at in range(0, len(STANDARD), 76)),
        f"data:image/png;base64,{STANDARD}",
        f" DATA:image/png;charset=binary;base64, {STANDARD}\n",
        f"data:;base64,{STANDARD}",
        f"data:image/png;base64,{quote(STANDARD, safe='')}",
        quote(STANDARD, safe=""),
        f'"{STANDARD}"',
        f"\ufeff{STANDARD[:9]}\u200b{STANDARD[9:]}\u00a0",
    ],
)
def test_base64_as_it_is_written(text: str) -> None:
    assert read_base64(text) == png()
    assert parse_image_event(json_record(image={"base64": text})).data == png()


def test_a_data_url_is_an_image_and_not_an_address() -> None:
    incoming = parse_image_event(json_record(image={"url": f"data:image/png;base64,{STANDARD}"}))
    assert incoming.data == png()
    assert incoming.event.image is not None
    assert incoming.event.image.url is None


@pytest.mark.parametrize("text", ["data:image/svg+xml,<svg/>", "****", "QUJ=DRA", "A", "é"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_image_event(json_record(image={"base64": text}))
    assert caught.value.reason == "bad_base64"
    assert caught.value.detail.startswith("image.base64: ")


def test_empty_text_beside_an_image_names_no_other() -> None:
    assert parse_image_event(json_record(image={"url": "", "file": "", "base64": STANDARD})).data == png()


HEADS = [b"", b"\0", b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"\0\0\0\x11\0{", b"\x1f\x8b"]


@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_any_bytes_are_json_or_an_event_error(tail: bytes, head: bytes) -> None:
    try:
        read_json(head + tail)
    except EventError as error:
        assert error.reason.isidentifier()


@given(st.text(max_size=200))
def test_any_text_is_base64_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(read_base64(text), bytes)
    except ValueError as error:
        assert str(error)
