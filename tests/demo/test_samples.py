"""The sample events: valid, varied, reproducible, and honest about what cannot be judged."""

import base64
import io
from collections import Counter

import pytest
from PIL import Image, UnidentifiedImageError

from moderation.events import ImageEvent, Surface
from stream.demo.canvas import Box, fitted, text_width
from stream.demo.samples import SAMPLES, UNKNOWN_CLIENT, SampleEvent, sample_events

NOT_IMAGES = {"scalable-ad.svg", "removed-creative.png"}


@pytest.fixture(scope="module")
def events() -> list[SampleEvent]:
    return list(sample_events())


def image_of(sample: SampleEvent) -> bytes:
    if sample.value is not None:
        return sample.value
    assert sample.event.image is not None
    assert sample.event.image.base64 is not None
    return base64.b64decode(sample.event.image.base64)


def test_there_are_enough_samples_for_both_surfaces_and_each_has_its_own_id(events: list[SampleEvent]) -> None:
    surfaces = Counter(sample.event.surface for sample in events)
    assert len({sample.event.event_id for sample in events}) == len(events) == len(SAMPLES)
    assert surfaces[Surface.CREATIVE] >= 15
    assert surfaces[Surface.PAGE] >= 10


def test_both_encodings_occur_and_each_event_has_its_image_exactly_once(events: list[SampleEvent]) -> None:
    raw = [sample for sample in events if sample.value is not None]
    assert 0 < len(raw) < len(events)
    for sample in events:
        assert (sample.event.image is None) == (sample.value is not None), sample.name


def test_every_event_survives_the_wire(events: list[SampleEvent]) -> None:
    for sample in events:
        assert ImageEvent.model_validate_json(sample.event.model_dump_json()) == sample.event


def test_drawing_twice_gives_the_same_bytes(events: list[SampleEvent]) -> None:
    again = {sample.name: image_of(sample) for sample in sample_events()}
    assert {sample.name: image_of(sample) for sample in events} == again


def test_all_files_are_images_but_the_ones_meant_not_to_be(events: list[SampleEvent]) -> None:
    unreadable = set()
    for sample in events:
        try:
            Image.open(io.BytesIO(image_of(sample))).verify()
        except UnidentifiedImageError:
            unreadable.add(sample.name)
    assert unreadable == NOT_IMAGES


def test_the_broken_upload_is_a_jpeg_that_ends_too_soon(events: list[SampleEvent]) -> None:
    broken = next(sample for sample in events if sample.name == "broken-upload.jpg")
    image = Image.open(io.BytesIO(image_of(broken)))
    assert image.format == "JPEG"
    with pytest.raises(OSError, match="truncated"):
        image.load()


def test_the_animation_turns_political_only_in_its_last_frame(events: list[SampleEvent]) -> None:
    sample = next(sample for sample in events if sample.name == "coffee-then-vote.gif")
    animation = Image.open(io.BytesIO(image_of(sample)))
    frames = []
    for number in range(getattr(animation, "n_frames", 1)):
        animation.seek(number)
        frames.append(animation.convert("RGB").tobytes())
    assert len(frames) == len(set(frames)) == 3


def test_formats_that_trip_naive_readers_are_among_them(events: list[SampleEvent]) -> None:
    modes = set()
    for sample in events:
        if sample.name not in NOT_IMAGES:
            image = Image.open(io.BytesIO(image_of(sample)))
            modes.add((image.format, image.mode))
    assert {("JPEG", "CMYK"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("PNG", "L")} <= modes


def test_no_domain_could_belong_to_anybody(events: list[SampleEvent]) -> None:
    for sample in events:
        context = sample.event.context
        for domain in (*context.adomain, context.domain):
            assert domain is None or domain.endswith(".example")


def test_the_same_creative_comes_twice_under_two_ids_and_one_event_names_an_unknown_client(
    events: list[SampleEvent],
) -> None:
    copies = Counter(image_of(sample) for sample in events)
    assert max(copies.values()) >= 2
    assert [sample.event.clients for sample in events if sample.event.clients] == [(UNKNOWN_CLIENT,)]


def test_text_never_leaves_its_box() -> None:
    box = Box(10, 10, 210, 80)
    size, lines = fitted("Für ein Dorf, das zusammenhält", box, 800, 60)
    assert len(lines) * size * 1.2 <= box.height
    assert all(text_width(line, size, 800) <= box.width for line in lines)
