"""The scorer sees what a viewer sees: every case drawn by Chromium and decoded here, channel by channel.

`FEW_LEVELS` are allowed for rounding: both sides work in 8 bits. Files of which a browser shows a part (cut
short, damaged) are refused here; `tests/test_images_refused.py` has those.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from moderation.errors import ImageError
from moderation.images import views
from tests.images import jpeg_cases, other_cases, png_cases
from tests.images.browser import Browser, Pixels
from tests.images.case import SIDE, Case
from tests.parts import require_program

CASES = {case.name: case for source in (png_cases, jpeg_cases, other_cases) for case in source.cases()}
Drawn = dict[str, Pixels | None]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawn]:
    with Browser(require_program("chromium"), tmp_path_factory.mktemp("chromium")) as browser:
        found = browser.draw([(case.mime, case.data) for case in CASES.values()])
    yield dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_scorer_sees_what_a_viewer_sees(case: Case, drawn: Drawn) -> None:
    shown = drawn[case.name]
    if shown is None:
        with pytest.raises(ImageError):
            views(case.data, SIDE)
        return
    seen = views(case.data, SIDE).pixels[0]
    assert np.abs(seen.astype(int) - shown).max() <= case.levels


def test_the_cases_show_different_pictures(drawn: Drawn) -> None:
    """Else the browser draws nothing, or the chunks under test have no effect."""
    assert len({shown.tobytes() for shown in drawn.values() if shown is not None}) > len(CASES) // 5
