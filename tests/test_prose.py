"""Rules of prose that a test can check: short sentences, terms in place of images, one title, links that resolve."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/decisions").glob("*.md")])
LONGEST: Final = 40
BANNED: Final = re.compile(
    r"\b(left to nobody|nobody's|door of a stage|way of (an|one) (event|image)|bytes from strangers|from strangers"
    r"|says by itself|whoever|that which|of its own|in earnest|came to pass)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[\w’'-]+")
_CODE: Final = re.compile(r"`[^`]*`")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def paragraphs(text: str) -> Iterator[str]:
    """Prose without code and tables, a list item as a paragraph."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|\n(?=#)", text):
        lines = [
            line for line in block.splitlines() if not line.lstrip().startswith("|") and not line.startswith("    ")
        ]
        paragraph = " ".join(line.strip() for line in lines)
        if paragraph and not paragraph.startswith("#"):
            yield _LINK.sub(r"\1", _CODE.sub("CODE", paragraph)).replace("*", "")


def sentences(text: str) -> Iterator[str]:
    for paragraph in paragraphs(text):
        yield from re.split(r"(?<=[.!?:])\s+(?=[A-Z“\"(])", paragraph)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_are_short(page: Path) -> None:
    long = [sentence for sentence in sentences(page.read_text("utf-8")) if len(_WORD.findall(sentence)) > LONGEST]
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_terms_stand_in_place_of_images(page: Path) -> None:
    assert not [found.group() for found in BANNED.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_has_one_title(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = [_LINK.sub(r"\1", heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
