"""A catalogue file: what it says, and every mistake at its place."""

from dataclasses import replace
from pathlib import Path

import pytest

from moderation.events import Surface
from moderation.labels import CatalogueMistakes, Joining, Label, LabelTerms, State, read_catalogue
from tests.catalogue import CATALOGUE

HEAD = 'catalogue: test\nversion: "1"\nsuitability_version: t1\nlabels:\n'
TIERS = "    suitability:\n" + "".join(
    f"      {tier}: {{review: 0.4, block: 0.8}}\n" for tier in ("floor", "high", "medium", "low")
)
ALCOHOL = f"  alcohol:\n    description: Drinks.\n{TIERS}    adtech: {{}}\n"


def read(folder: Path, labels: str, head: str = HEAD) -> tuple[Label, ...]:
    path = folder / "labels.yaml"
    path.write_text(head + labels, "utf-8")
    return read_catalogue(path).labels


def test_a_short_entry_has_the_defaults(tmp_path: Path) -> None:
    (alcohol,) = read(tmp_path, ALCOHOL)
    assert (alcohol.name, alcohol.parent, alcohol.state) == ("alcohol", None, State.ACTIVE)
    assert (alcohol.sources, alcohol.joining) == (("image",), Joining.MAX)
    assert alcohol.tiers["low"].review == 0.4
    assert alcohol.terms[Surface.PAGE] == LabelTerms()


def test_ids_keep_the_digits_they_were_written_with(tmp_path: Path) -> None:
    labels = ALCOHOL.replace("{}", "{creative: {cat: [1002, 0012], attr: [9], loss: 209}}")
    (alcohol,) = read(tmp_path, labels)
    assert alcohol.terms[Surface.CREATIVE] == LabelTerms(cat=("1002", "0012"), attr=(9,), loss=209)


def test_sources_joining_and_state_are_read(tmp_path: Path) -> None:
    more = "    state: announced\n    sources: [text, image]\n    join: noisy-or\n    adtech: {}\n"
    (alcohol,) = read(tmp_path, ALCOHOL.replace("    adtech: {}\n", more))
    assert (alcohol.state, alcohol.sources, alcohol.joining) == (
        State.ANNOUNCED,
        ("text", "image"),
        Joining.NOISY_OR,
    )


@pytest.mark.parametrize(
    ("labels", "line", "said"),
    [
        (ALCOHOL.replace(TIERS, ""), 5, "alcohol has no tier rows"),
        (ALCOHOL.replace("      low: {review: 0.4, block: 0.8}\n", ""), 7, "alcohol has no row for the tier low"),
        (ALCOHOL.replace("low:", "loww:"), 11, "did you mean 'low'?"),
        (ALCOHOL.replace("low: {review: 0.4", "low: {review: 0.9"), 11, "review 0.9 is above block 0.8"),
        (ALCOHOL.replace("low: {review: 0.4", "low: {review: 40"), 11, "a number from 0 to 1, or never"),
        (ALCOHOL.replace("    adtech: {}\n", ""), 6, "'adtech' is missing"),
        (ALCOHOL.replace("    description: Drinks.\n", ""), 6, "'description' is missing"),
        (ALCOHOL.replace("adtech", "adtec"), 12, "did you mean 'adtech'?"),
        (ALCOHOL.replace("    adtech", "    join: mean\n    adtech"), 12, "'max', 'first' or 'noisy-or'"),
        (ALCOHOL.replace("    adtech", "    state: soon\n    adtech"), 12, "'active' or 'announced'"),
        (ALCOHOL.replace("    adtech", "    kind: ordinal\n    adtech"), 12, "'independent'"),
        (ALCOHOL.replace("    adtech", "    sources: [a, a]\n    adtech"), 12, "a source stands twice"),
        (ALCOHOL.replace("    adtech", "    sources: []\n    adtech"), 12, "at least 1 item"),
        (ALCOHOL + ALCOHOL, 13, "the key 'alcohol' stands twice"),
        (ALCOHOL.replace("alcohol:", "Alcohol:"), 5, "should match pattern"),
        ("  drug.pill:\n    description: Pills.\n    adtech: {}\n", 5, "a part of drug, which does not stand above it"),
        (
            ALCOHOL + "  alcohol.beer:\n    description: B.\n" + TIERS + "    adtech: {}\n",
            15,
            "tiers are set on alcohol",
        ),
    ],
)
def test_every_mistake_names_its_file_its_line_and_its_label(tmp_path: Path, labels: str, line: int, said: str) -> None:
    with pytest.raises(CatalogueMistakes) as caught:
        read(tmp_path, labels)
    told = [(mistake.line, mistake.render()) for mistake in caught.value.mistakes]
    assert any(at == line and said in text and "labels.yaml" in text for at, text in told), told
    assert said in caught.value.explained()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("- a list\n", "this is not a label catalogue"),
        ("labels: *all\n", "alias"),
        ("catalogue: x\nversion: 1\nsuitability_version: t\n", "'labels' is missing"),
        (HEAD.rstrip("\n") + " {}\n", "at least 1 item"),
        (HEAD.replace("version", "versoin", 1) + ALCOHOL, "did you mean 'version'?"),
    ],
)
def test_what_is_no_catalogue_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(CatalogueMistakes) as caught:
        read_catalogue(path)
    assert said in caught.value.explained()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueMistakes, match=r"away\.yaml: cannot be read"):
        read_catalogue(tmp_path / "away.yaml")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(CatalogueMistakes) as caught:
        read(tmp_path, ALCOHOL.replace(TIERS, "") + ALCOHOL.replace("alcohol", "drugs").replace(TIERS, ""))
    assert [mistake.path for mistake in caught.value.mistakes] == ["labels.alcohol", "labels.drugs"]


class TestTheShippedCatalogue:
    def test_a_tier_covers_every_active_top_label(self) -> None:
        assert CATALOGUE.tiered_names == ("violence", "adult", "political")

    def test_labels_that_no_source_scores_yet_are_announced(self) -> None:
        """The served model publishes what `model_repository/brand_safety/labels.txt` says."""
        served = Path(__file__).parents[2].joinpath("model_repository/brand_safety/labels.txt").read_text("utf-8")
        assert set(CATALOGUE.names) - CATALOGUE.announced_names == set(served.split())

    def test_announced_labels_are_not_in_a_tier_for_all(self) -> None:
        announced = replace(CATALOGUE, labels=tuple(replace(each, state=State.ANNOUNCED) for each in CATALOGUE.labels))
        assert announced.tiered_names == ()
        assert announced.announced_names == set(CATALOGUE.names)
