"""The report: complete, escaped, self-contained, and alive in a real browser."""

import base64
import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from moderation.events import Decision, ImageEvent, Status, Surface, Verdict
from stream.demo.canvas import gradient
from stream.demo.encodings import cut_out, gif, jpeg, png
from stream.demo.explain import evidence, rule, why
from stream.demo.judged import Judged, Misses
from stream.demo.report import Rejected, Run, write_report
from stream.demo.samples import sample_events
from stream.thumbnails import LONGEST_PX, thumbnail
from tests.demo.decisions import MODEL, NOW, decision, reason
from tests.parts import require_program

HOSTILE = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>.png'


def picture() -> bytes:
    return png(gradient((640, 200), (200, 40, 40), (20, 20, 90)))


def judged(name: str, *decisions: Decision, image: bytes | None = None) -> Judged:
    event = ImageEvent(event_id=name, surface=Surface.CREATIVE)
    return Judged(name, event, thumbnail(image) if image else None, decisions)


def images() -> list[Judged]:
    blocked = decision("knife.png", "family", Verdict.BLOCK, [reason(Verdict.BLOCK)])
    allowed = decision("knife.png", "games", Verdict.ALLOW)
    failed = decision("svg.svg", "family", Verdict.REVIEW, [reason(Verdict.REVIEW)], Status.DECODE_UNSUPPORTED)
    return [
        judged("knife.png", blocked, allowed, image=picture()),
        judged("svg.svg", failed),
        judged(HOSTILE, decision("h", "games", Verdict.ALLOW), image=picture()),
    ]


def run_of(images: list[Judged], rejected: tuple[Rejected, ...] = ()) -> Run:
    decisions = [d for image in images for d in image.decisions]
    return Run(
        started_at=NOW,
        events=len(images),
        verdicts=Counter((d.client, d.verdict) for d in decisions),
        statuses=Counter(image.status for image in images if image.status),
        rejected=rejected,
        first_decision_s=1.5,
        took_s=12.0,
        broker="apache-kafka",
        policies="policies",
        model=MODEL,
        misses=Misses.count(images),
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    rejected = (Rejected("broken", "not_json", "expected an object <here>"),)
    write_report(file, run_of(images(), rejected), iter(images()))
    return file


def test_it_says_verdict_rule_score_threshold_and_what_would_pass(report: Path) -> None:
    html = report.read_text()
    for text in ("thresholds.creative.violence.block", "0.83", "of 0.60", "Would pass: violence &lt; 0.60",
                 "brand_safety 7", "abababababab", "DECODE_UNSUPPORTED", "not_json"):  # fmt: skip
        assert text in html, text


def test_only_what_a_client_blocks_is_blurred(report: Path) -> None:
    articles = report.read_text().split('<article class="image"')[1:]
    assert ["veil" in article for article in articles] == [True, False, False]


def test_a_hostile_file_name_stays_text(report: Path) -> None:
    html = report.read_text()
    assert "<script>document" not in html
    assert "<img src=x" not in html
    assert "expected an object &lt;here&gt;" in html


def test_nothing_is_loaded_from_anywhere(report: Path) -> None:
    html = report.read_text()
    assert re.findall(r"(?:src|href|action|poster)\s*=\s*[\"'](?!data:image/jpeg;base64,)", html) == []
    assert re.findall(r"url\(|@import|https?://", html) == []


def test_the_policy_allows_exactly_the_style_and_script_that_are_there(report: Path) -> None:
    html = report.read_text()
    for element in ("style", "script"):
        found = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        assert len(found) == 1
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert f"{element}-src &#39;sha256-{digest}&#39;" in html or f"{element}-src 'sha256-{digest}'" in html
    assert " style=" not in html


def test_big_runs_are_written_image_by_image(tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    written_at_half = 0

    def counted() -> Iterator[Judged]:
        nonlocal written_at_half
        for number in range(300):
            if number == 150:
                written_at_half = file.stat().st_size
            yield judged(f"{number}.png", decision(str(number), "family", Verdict.ALLOW))

    write_report(file, run_of(images()), counted())
    assert file.read_text().count('<article class="image"') == 300
    assert file.stat().st_size * 0.3 < written_at_half < file.stat().st_size


@pytest.mark.parametrize("name", ["a\udcff.png", "line\nbreak.png", "\u202egpj.exe"])
def test_odd_names_are_written(tmp_path: Path, name: str) -> None:
    image = Judged(name, ImageEvent(event_id="x", surface=Surface.PAGE), None, ())
    write_report(tmp_path / "r.html", run_of([]), [image])
    assert '<article class="image"' in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_thumbnails_are_small_and_say_what_they_were_made_from() -> None:
    small = thumbnail(picture())
    assert small is not None
    assert (small.width, small.height) == (LONGEST_PX, 160)
    assert small.original == "PNG 640 × 200"
    animated = thumbnail(
        gif([gradient((40, 40), (0, 0, 0), (9, 9, 9)), gradient((40, 40), (255, 0, 0), (9, 9, 9))], 100)
    )
    assert animated is not None
    assert animated.original == "GIF 40 × 40, 2 frames"


CUT_SHORT = jpeg(gradient((900, 900), (1, 2, 3), (200, 1, 9)))[:700]


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"GIF89a", CUT_SHORT])
def test_what_cannot_be_drawn_has_no_thumbnail(data: bytes) -> None:
    assert thumbnail(data) is None


def test_transparency_does_not_hide_the_ink() -> None:
    assert thumbnail(cut_out(gradient((64, 64), (0, 0, 0), (255, 255, 255)))) is not None


def test_every_sample_that_is_an_image_has_a_thumbnail() -> None:
    without = {sample.name for sample in sample_events() if sample.value and not thumbnail(sample.value)}
    assert without <= {"scalable-ad.svg", "removed-creative.png", "broken-upload.jpg"}


def test_words_for_a_decision() -> None:
    blocked = decision("e", "c", Verdict.BLOCK, [reason(Verdict.BLOCK)])
    assert (rule(blocked), why(blocked)) == (
        "thresholds.creative.violence.block",
        "violence 0.83 reached 0.60.",
    )
    allowed = decision("e", "c", Verdict.ALLOW)
    assert (rule(allowed), why(allowed)) == ("–", "No rule fired.")
    seen = evidence(allowed)
    assert seen is not None
    assert (seen.label, seen.score, seen.threshold) == ("violence", 0.83, None)
    failed = decision("e", "c", Verdict.REVIEW, [reason(Verdict.REVIEW)], Status.TOO_LARGE)
    assert why(failed).startswith("Not examined (TOO_LARGE)")


def dom_in_chromium(file: Path, profile: Path) -> str:
    browser = require_program("chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run",
             f"--user-data-dir={profile}"]  # fmt: skip
    page = subprocess.run([browser, *flags, "--dump-dom", file.as_uri()], capture_output=True, timeout=120, check=True)
    return page.stdout.decode()


def test_in_a_real_browser_the_script_runs_and_the_hostile_name_does_not(report: Path, tmp_path: Path) -> None:
    dom = dom_in_chromium(report, tmp_path / "profile")
    assert "3 of 3 images</output>" in dom, "the filter script did not run under the page's own policy"
    assert "<title>Adjudicate: 3 images" in dom
    assert '<form class="filters" id="filters">' in dom


def known(name: str, shows: tuple[str, ...], **verdicts: tuple[Verdict, Verdict]) -> Judged:
    """An image whose content is known: client → the verdict, and the expected one."""
    decisions = [decision(name, client, got) for client, (got, _) in verdicts.items()]
    wanted = {client: expected for client, (_, expected) in verdicts.items()}
    return replace(judged(name, *decisions, image=picture()), shows=shows, expected=wanted)


BOTH = [
    known("cup.png", (), family=(Verdict.REVIEW, Verdict.ALLOW), games=(Verdict.ALLOW, Verdict.ALLOW)),
    known("vote.png", ("political",), family=(Verdict.ALLOW, Verdict.BLOCK)),
]


def test_misses_are_counted_and_marked_beside_the_verdict(tmp_path: Path) -> None:
    assert Misses.count([*BOTH, *images()]) == Misses(known=3, milder=1, stricter=1)
    write_report(tmp_path / "r.html", run_of(BOTH), iter(BOTH))
    html = (tmp_path / "r.html").read_text()
    assert html.count("miss: expected allow") == 1
    assert html.count("miss: expected block") == 1
    assert html.count("as expected</span>") == 1
    assert "shows none of the labels" in html
    assert "shows political" in html
    assert "1 of 3 decisions on images with a known content are as expected; 1 are milder and 1 stricter" in html


def test_an_image_whose_content_nobody_knows_has_no_expectation(report: Path) -> None:
    html = report.read_text()
    for trace in ('class="expected', "data-miss", "/ expected", "As expected", '<select name="misses"'):
        assert trace not in html


def test_images_are_sorted_by_the_worst_verdict_then_the_highest_score() -> None:
    mild = judged("mild", decision("m", "family", Verdict.ALLOW))
    asked = judged("asked", decision("a", "family", Verdict.REVIEW))
    twice = judged("twice", decision("t", "family", Verdict.BLOCK), decision("t", "games", Verdict.BLOCK))
    once = judged("once", decision("o", "family", Verdict.BLOCK), decision("o", "games", Verdict.ALLOW))
    ranked = sorted([mild, once, asked, twice], key=lambda image: image.severity, reverse=True)
    assert [image.name for image in ranked] == ["twice", "once", "asked", "mild"]


def test_a_click_enlarges_an_image_that_is_not_blurred(tmp_path: Path) -> None:
    """Real clicks, under the page's own policy: a blurred image must be shown first."""
    file = tmp_path / "r.html"
    shown = [judged("cup.png", decision("c", "family", Verdict.ALLOW), image=picture()), *images()[:1]]
    write_report(file, run_of(shown), iter(shown))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=require_program("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        cup, knife = page.locator("article.image").all()
        cup.locator(".enlarge").click()
        assert page.locator("dialog[open] p").inner_text() == "cup.png"
        page.locator("#close").click()
        assert not page.locator("dialog[open]").count()
        assert not knife.locator(".enlarge").is_visible()
        knife.locator("label.veil").click()
        knife.locator(".enlarge").click()
        assert page.locator("dialog[open] p").inner_text() == "knife.png"
        browser.close()
