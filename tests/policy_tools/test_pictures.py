"""Pictures in reports: the right one or none, embedded, escaped, blurred until somebody clicks."""

import base64
import gzip
import hashlib
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from moderation.errors import ConfigurationError
from moderation.policy.tools.showcase import Shown, show
from stream.cli.policy import policy
from stream.policy_pictures import find_pictures
from tests.policy.making import event
from tests.policy_tools.recordings import write_labels, write_scores
from tests.policy_tools.test_reports import Tags


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = png((200, 0, 0)), png((0, 0, 200))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shown(event_id: str = "e1", **extras: str) -> Shown:
    found = show(event(event_id, content_sha256=extras.pop("sha", None)), {})
    return Shown(**{**{name: getattr(found, name) for name in Shown.__slots__}, **extras})


def write_image(path: Path, data: bytes = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("e1.png", shown("e1")),
        ("a/b.png", shown("a/b.png")),
        ("banners/e1", shown("e1")),
        (f"{sha(RED)}.png", shown("other", sha=sha(RED))),
        ("anything.dat", shown("other", sha=sha(RED))),
        ("site/hero.png", shown("other", file="site/hero.png")),
    ],
)
def test_a_picture_is_found_by_hash_event_or_file(tmp_path: Path, name: str, one: Shown) -> None:
    write_image(tmp_path / "images" / name)
    write_image(tmp_path / "images/stranger.png", BLUE)
    (picture,) = find_pictures([one], [tmp_path / "images"], tmp_path / "report.html").values()
    assert picture.uri.startswith("data:image/jpeg;base64,")
    assert (picture.width, picture.height) == (160, 107)
    assert picture.link == f"./images/{name}"


def test_other_bytes_are_never_shown_for_a_hash(tmp_path: Path) -> None:
    write_image(tmp_path / "e1.png", BLUE)
    assert find_pictures([shown("e1", sha=sha(RED))], [tmp_path], tmp_path / "r.html") == {}
    write_image(tmp_path / "deep/renamed.png", RED)
    found = find_pictures([shown("e1", sha=sha(RED))], [tmp_path], tmp_path / "r.html")
    assert found["e1"].link == "./deep/renamed.png"


def test_events_of_one_image_all_show_it(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png")
    asked = [shown(name, sha=sha(RED)) for name in ("e1", "e2", "e3")]
    found = find_pictures(asked, [tmp_path], tmp_path / "r.html")
    assert [bool(found[name].uri) for name in ("e1", "e2", "e3")] == [True] * 3


def test_image_events_give_pictures_and_addresses(tmp_path: Path) -> None:
    lines = [
        {"event_id": "e1", "image": {"url": "https://cdn.example/a.png"}},
        {"event_id": "e2", "image": {"base64": base64.b64encode(RED).decode()}},
        {"event_id": "e3", "image": {"url": "javascript:alert(1)"}},
        {"event_id": "e4", "image": {"base64": base64.b64encode(BLUE).decode()}},
        {"event_id": "e5", "image": {"base64": "no base64"}},
        ["no event"],
    ]
    path = tmp_path / "creatives.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(json.dumps(line).encode() for line in lines) + b"\nno json\n"))
    asked = [shown("e1"), shown("e2"), shown("e3"), shown("e4", sha=sha(RED)), shown("e5")]
    found = find_pictures(asked, [path], tmp_path / "r.html")
    assert set(found) == {"e1", "e2"}
    assert (found["e1"].link, found["e1"].uri) == ("https://cdn.example/a.png", "")
    assert found["e2"].uri


def test_an_address_in_the_recording_is_a_link_beside_the_picture(tmp_path: Path) -> None:
    write_image(tmp_path / "e1.png")
    asked = [shown("e1", image_url="https://cdn.example/a.png"), shown("e2", image_url="file:///etc/passwd")]
    found = find_pictures(asked, [tmp_path], tmp_path / "r.html")
    assert found["e1"].link == "https://cdn.example/a.png"
    assert found["e1"].uri
    assert "e2" not in found


def test_what_is_no_image_is_only_linked(tmp_path: Path) -> None:
    write_image(tmp_path / "e1.svg", b"<svg onload='alert(1)'/>")
    found = find_pictures([shown("e1")], [tmp_path], tmp_path / "r.html")
    assert (found["e1"].uri, found["e1"].link) == ("", "./e1.svg")


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--images .*nowhere: cannot be read"):
        find_pictures([shown()], [tmp_path / "nowhere"], tmp_path / "r.html")


EVIL = 'e"><img src=x onerror=alert(1)>'


def test_reports_embed_pictures_blurred_and_escaped(folder: Path) -> None:
    scored = [
        event(EVIL, {"violence": 0.4}, crid=EVIL, campaign=EVIL, impressions=5, content_sha256=sha(RED)),
        event("allowed", {"violence": 0.1}, impressions=9),
    ]
    write_scores(Path("scores.jsonl.gz"), scored)
    write_labels(Path("labels.csv"), [{"event_id": each.event_id, "violence": "1"} for each in scored])
    write_image(folder / "images/red.png")
    write_image(folder / "images/allowed.png", BLUE)
    shared = ("--scores", "scores.jsonl.gz", "--images", "images", "--now", "2026-11-22T12:00:00", "--html")
    for arguments in (("diff", "policies", "candidate.yaml"), ("backtest", "acme", "--labels", "labels.csv")):
        result = CliRunner().invoke(policy, [*arguments, *shared, "report.html"])
        assert result.exit_code == 0, result.output
        assert_safe(Path("report.html").read_text("utf-8"), Path("images"))


def assert_safe(text: str, images: Path) -> None:
    tags = Tags(text)
    assert tags.open == []
    assert "<script" not in text
    assert EVIL not in text
    names = {name for name, _ in tags.seen}
    assert not any(name.rpartition(".")[2].startswith("on") or name.endswith(".style") for name in names)
    sources = [value or "" for name, value in tags.seen if name == "img.src"]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    links = [value or "" for name, value in tags.seen if name == "a.href"]
    assert links and all(link.startswith(f"./{images}/") for link in links)
    assert text.count('class="veil"') == len(sources)
    policy_of_page = next(value or "" for name, value in tags.seen if value and value.startswith("default-src"))
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy_of_page == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
