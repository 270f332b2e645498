"""A folder of strangers' files as events: every regular file once, whatever it is called."""

import base64
import os
from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.events import ImageEvent, Surface
from stream.demo.outgoing import (
    LARGEST_INLINE,
    Outgoing,
    event_id,
    from_folder,
    from_samples,
    regular_files,
)
from stream.kafka import Record
from stream.parse import parse_image_event
from stream.settings import TopicSettings

TOPICS = TopicSettings()


def never(message: str) -> None:
    raise AssertionError(message)


def as_read(sent: Outgoing) -> Record:
    output = sent.output(TOPICS)
    return Record(output.topic, 0, 0, output.key, output.value, output.headers)


def test_every_file_is_an_event_that_the_score_stage_understands(tmp_path: Path) -> None:
    contents = {"a.png": b"png", "sub/b.jpg": b"jpeg", "notes.txt": b"no image", "c": b"\x00\xff"}
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    sent = list(from_folder(tmp_path, Surface.PAGE, never))
    read = {item.event.event_id: parse_image_event(as_read(item)).data for item in sent}
    assert read == contents
    assert {item.output(TOPICS).topic for item in sent} == {"pages"}
    assert {item.value is None for item in sent} == {True, False}
    assert {item.name: item.image() for item in sent} == contents


def test_an_empty_file_is_an_event_too(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()
    for item in from_folder(tmp_path, Surface.CREATIVE, never):
        assert parse_image_event(as_read(item)).data == b""


def test_a_huge_file_is_named_not_read(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as film:
        film.truncate(LARGEST_INLINE + 1)
    (item,) = from_folder(tmp_path, Surface.CREATIVE, never)
    assert item.event.image is not None
    assert item.event.image.file == "film.mp4"
    assert item.image() == b""


def test_names_that_are_no_text_are_still_unique(tmp_path: Path) -> None:
    names = [b"\xff.png", b"\xfe.png", b"line\nbreak.png", b"x" * 250]
    for name in names:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(name)
    ids = [item.event.event_id for item in from_folder(tmp_path, Surface.CREATIVE, never)]
    assert len(set(ids)) == len(names)
    for identity in ids:
        ImageEvent.model_validate_json(ImageEvent(event_id=identity, surface=Surface.PAGE).model_dump_json())


def test_a_plain_name_is_its_own_id() -> None:
    assert event_id(Path("sub/knife 1.png")) == "sub/knife 1.png"


def test_only_regular_files_count_and_folders_behind_links_do_not(tmp_path: Path) -> None:
    (tmp_path / "real.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert sorted(path.name for path in regular_files(tmp_path)) == ["link.png", "real.png"]


def test_an_unreadable_file_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == "a.png":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    told: list[str] = []
    assert [item.name for item in from_folder(tmp_path, Surface.CREATIVE, told.append)] == ["b.png"]
    assert told == ["a.png: Permission denied"]


def test_a_file_that_vanishes_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    told: list[str] = []
    sent = from_folder(tmp_path, Surface.CREATIVE, told.append)
    assert next(sent).name == "a.png"
    (tmp_path / "b.png").unlink()
    assert [item.name for item in sent] in (["c.png"], [])
    assert told in ([], ["b.png: No such file or directory"])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        list(from_folder(tmp_path / "nowhere", Surface.PAGE, never))


def test_samples_are_understood_by_the_score_stage() -> None:
    for item in from_samples():
        incoming = parse_image_event(as_read(item))
        assert incoming.data == item.image()
        assert incoming.event.context == item.event.context


def test_base64_is_the_files_own_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (item,) = from_folder(tmp_path, Surface.CREATIVE, never)
    assert item.event.image is not None
    assert base64.b64decode(item.event.image.base64 or "") == b"\x89PNG"
