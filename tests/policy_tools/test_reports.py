"""Reports are one file that asks nobody for anything and shows what was counted."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from moderation.policy import load
from moderation.policy.tools.backtest import backtest
from moderation.policy.tools.diff import difference
from moderation.policy.tools.html_report import backtest_html, diff_html
from moderation.policy.tools.svg_charts import Mark, Series, chart, stacked
from moderation.policy.tools.truth_table import read_truths
from tests.catalogue import CATALOGUE
from tests.evidence import image_scores
from tests.policy.making import NOW, event
from tests.policy_tools.recordings import recording
from tests.policy_tools.test_diff import Cut

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Tags(HTMLParser):
    """Every tag closed in order, and every attribute seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen += [(f"{tag}.{name}", value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen += [(f"{tag}.{name}", value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_self_contained(text: str) -> None:
    tags = Tags(text)
    assert tags.open == []
    assert "<script" not in text
    assert not re.search(r"(src|href|action)\s*=", text)
    assert not re.search(r"url\(|@import|https?://", text)


@pytest.fixture
def reports(folder: Path) -> dict[str, str]:
    policies = load(Path("policies"))
    policy = policies.policy("acme")
    assert policy
    events = recording()[0]
    found = difference(Cut(0.8), Cut(0.4), [each for each in events if image_scores(each)], NOW)
    cuts = {"adult": {"review": 0.4, "block": 0.7}, "violence": {"block": float("inf")}}
    tested = backtest(policies, policy, events, read_truths(Path("labels.csv"), CATALOGUE), NOW, cuts=cuts)
    return {
        "diff": diff_html(found, "policies", "candidate.yaml", "scores.jsonl.gz", NOW),
        "backtest": backtest_html(tested, "scores.jsonl.gz", "labels.csv", NOW),
    }


@pytest.mark.parametrize("name", ["diff", "backtest"])
def test_a_report_is_well_formed_and_self_contained(reports: dict[str, str], name: str) -> None:
    assert_self_contained(reports[name])


def test_the_numbers_of_the_diff_are_in_its_report(folder: Path) -> None:
    events = [event(f"e{n}", {"adult": 0.6}, impressions=1_000, crid=f"creative-{n}") for n in range(3)]
    text = diff_html(difference(Cut(0.8), Cut(0.5), events, NOW), "a", "b", "c", NOW)
    for shown in ("3,000", "creative-2", "adult 0.60", "adult &lt; 0.5", "nothing fired"):
        assert shown in text


def test_no_change_is_said_in_words() -> None:
    assert "No decision changes." in diff_html(difference(Cut(1), Cut(1), [event()], NOW), "a", "b", "c", NOW)


def test_every_label_with_truth_has_a_curve_with_the_thresholds_of_today(reports: dict[str, str]) -> None:
    text = reports["backtest"]
    for label in ("violence", "adult", "political"):
        assert f'aria-label="{label} by threshold"' in text
    assert "review 0.4" in text
    assert "inf" not in text.replace("info", "")


def test_text_from_strangers_is_escaped() -> None:
    evil = '<img src=x onerror="alert(1)">'
    events = [event(evil, {"adult": 0.6}, crid=evil)]
    text = diff_html(difference(Cut(0.8), Cut(0.5), events, NOW), evil, evil, evil, NOW)
    assert "<img" not in text
    assert "&lt;img" in text
    assert_self_contained(text.replace("&lt;img src=x", ""))
    assert evil not in chart(evil, evil, [Series(evil, [(0, 0)])], [Mark(evil, 0.5)])
    assert evil not in stacked(evil, [(evil, 1)])


def test_a_chart_without_points_is_still_a_chart() -> None:
    assert chart("t", "x", [Series("nothing", [])]).startswith("<svg")
    assert stacked("t", [("allow", 0)]).endswith("</svg>")
