"""The expected answer on an image whose content is known."""

from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.events import ImageEvent, Surface, Verdict
from moderation.policy import PolicySet, load
from stream.demo.expected import expected_verdicts, read_expected
from stream.demo.outgoing import from_folder, image_files
from stream.demo.run import Plan, run_demo
from stream.demo.samples import SAMPLES, SHOWS
from stream.demo.watcher import Watcher

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return load(ROOT / "policies")


def test_right_scores_give_what_the_policy_says(policies: PolicySet) -> None:
    event = ImageEvent(event_id="e", surface=Surface.CREATIVE, clients=("family-brand",))
    assert expected_verdicts(policies, event, ()) == {"family-brand": Verdict.ALLOW}
    assert expected_verdicts(policies, event, ("violence.weapon",)) == {"family-brand": Verdict.BLOCK}
    assert expected_verdicts(policies, event, ("political",)) == {"family-brand": Verdict.BLOCK}


def test_what_samples_show_are_labels_of_the_catalogue(policies: PolicySet) -> None:
    named = {label for shown in SHOWS.values() for label in shown or ()}
    assert named <= set(policies.labels.names)
    assert SHOWS.keys() <= {sample.name for sample in SAMPLES}


def test_a_folder_may_say_what_its_images_show(tmp_path: Path, policies: PolicySet) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "expected.csv").write_text("path,labels\na.png,political violence.fire\nsub/b.png,\n")
    expected = read_expected(tmp_path, policies.labels)
    sent = from_folder(tmp_path, Surface.PAGE, pytest.fail, expected)
    assert {item.name: item.shows for item in sent} == {
        "a.png": ("political", "violence.fire"), "c.png": None, "sub/b.png": ()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [("file,labels\na.png,\n", "path,labels"), ("path,labels\na.png,politicle\n", r"csv:2: no label 'politicle'")],
)
def test_a_mistake_in_it_is_named(text: str, told: str, tmp_path: Path, policies: PolicySet) -> None:
    (tmp_path / "expected.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        read_expected(tmp_path, policies.labels)


@pytest.mark.parametrize("also", [(), ("expected.csv",)])
def test_a_folder_without_images_is_an_error_and_overwrites_nothing(tmp_path: Path, also: tuple[str, ...]) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    (empty / "deeper").mkdir(parents=True)
    out.mkdir()
    for name in also:
        (empty / name).write_text("path,labels\n")
    for name in ("decisions.jsonl", "report.html"):
        (out / name).write_text("of the last run")
    assert list(image_files(empty)) == []
    with pytest.raises(ConfigurationError, match="holds no files"):
        run_demo(Plan(out, ROOT / "policies", empty), Watcher())
    assert {path.read_text() for path in out.iterdir()} == {"of the last run"}
