"""Scores of files, over an honest fake of the model: batched over files, worst view, a status for the rest."""

from pathlib import Path

import pytest

from moderation.errors import ConfigurationError, ModelRejected, ModelUnavailable
from moderation.events import Status
from stream.demo.canvas import gradient
from stream.demo.classify import CHUNKS_AHEAD, FILES_AT_A_TIME, Classified, classify, files_of
from stream.demo.encodings import gif, png
from stream.demo.present_scores import as_line
from tests.fakes import FakeClassifier, InlineDecoder

RED, BLUE = (255, 0, 0), (0, 0, 255)


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def flat(colour: tuple[int, int, int]) -> bytes:
    return png(gradient((64, 64), colour, colour))


def scored(paths: list[Path], classifier: FakeClassifier, most: int = 64) -> list[Classified]:
    return list(classify(paths, classifier, InlineDecoder(), most))


def test_each_file_gets_its_own_scores_in_order(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}.png", flat(RED if n % 3 else BLUE)) for n in range(2 * FILES_AT_A_TIME + 3)]
    classifier = FakeClassifier()
    found = scored(files, classifier)
    assert [each.path for each in found] == files
    for number, each in enumerate(found):
        assert each.scores == ({"violence": 1.0, "adult": 0.0, "political": 0.0} if number % 3 else
                               {"violence": 0.0, "adult": 0.0, "political": 1.0})  # fmt: skip
    assert classifier.batches == [FILES_AT_A_TIME, FILES_AT_A_TIME, 3]


def test_no_request_is_larger_than_allowed(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}.png", flat(RED)) for n in range(10)]
    classifier = FakeClassifier()
    assert all(each.status is Status.OK for each in scored(files, classifier, most=4))
    assert classifier.batches == [4, 4, 2]


def test_the_worst_view_counts_and_stays_with_its_file(tmp_path: Path) -> None:
    turning = gif([gradient((64, 64), colour, colour) for colour in (RED, BLUE)], frame_ms=100)
    files = [
        write(tmp_path, "a.png", flat(RED)),
        write(tmp_path, "b.gif", turning),
        write(tmp_path, "c.png", flat(RED)),
    ]
    first, animation, last = scored(files, FakeClassifier())
    assert animation.scores is not None
    assert (animation.scores["violence"], animation.scores["political"]) == (1.0, 1.0)
    assert animation.image is not None
    assert animation.image.views == 2
    for each in (first, last):
        assert each.scores == {"violence": 1.0, "adult": 0.0, "political": 0.0}


def test_what_is_no_image_has_a_status_and_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "a.png", flat(RED)),
        write(tmp_path, "b.txt", b"hello"),
        write(tmp_path, "c.png", flat(BLUE)),
    ]
    found = scored([*files, tmp_path / "gone.png"], FakeClassifier())
    assert [each.status for each in found] == [
        Status.OK, Status.DECODE_UNSUPPORTED, Status.OK, Status.FETCH_FAILED
    ]  # fmt: skip
    assert found[2].scores == {"violence": 0.0, "adult": 0.0, "political": 1.0}


def test_a_rejected_request_is_a_status_of_its_files_only(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}.png", flat(RED)) for n in range(FILES_AT_A_TIME * (CHUNKS_AHEAD + 2))]
    found = scored(files, FakeClassifier(failures=[ModelRejected("wrong shape")]))
    statuses = [each.status for each in found]
    assert statuses[:FILES_AT_A_TIME] == [Status.MODEL_REJECTED] * FILES_AT_A_TIME
    assert set(statuses[FILES_AT_A_TIME:]) == {Status.OK}


def test_an_absent_model_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        scored([write(tmp_path, "a.png", flat(RED))], FakeClassifier(failures=[ModelUnavailable("away")]))


def test_folders_are_searched_and_missing_paths_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    inner, outer = write(tmp_path / "sub", "b.png", b""), write(tmp_path, "a.png", b"")
    assert files_of([tmp_path]) == [outer, inner]
    assert files_of([inner, outer]) == [inner, outer]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="empty holds no files"):
        files_of([outer, tmp_path / "empty"])
    with pytest.raises(ConfigurationError, match=r"nowhere\.png: no such file or folder"):
        files_of([outer, tmp_path / "nowhere.png"])


def test_a_line_of_json_has_no_scores_where_nothing_was_scored(tmp_path: Path) -> None:
    image, text = write(tmp_path, "a.png", flat(RED)), write(tmp_path, "b.txt", b"hello")
    good, bad = (as_line(each) for each in scored([image, text], FakeClassifier()))
    assert (good["model"], good["version"], good["status"]) == ("fake", "1", "OK")
    assert (bad["scores"], bad["model"], bad["status"]) == (None, None, "DECODE_UNSUPPORTED")
    assert good.keys() == bad.keys()
