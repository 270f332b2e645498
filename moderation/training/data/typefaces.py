"""Setting words into images: the fonts that come with matplotlib (DejaVu: Latin, Greek, Cyrillic)."""

import textwrap
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

SMALLEST_BOX: Final = 8
"""Pixels; in less no letter can be read."""

FACES: Final = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSansMono-Bold.ttf",
)


def font_folder() -> Path:
    """Where matplotlib keeps its fonts. Raises ModuleNotFoundError without the extra `train`."""
    import matplotlib  # noqa: PLC0415 - an import of a second, for training only

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@cache
def _face(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_folder() / name), size)


class Typesetter:
    """Writes text into boxes, as large as it fits or smaller."""

    def write(self, box: NDArray[np.uint8], text: str, ink: NDArray[np.uint8], rng: np.random.Generator) -> None:
        """Set `text` in colour `ink [3]` into `box [H,W,3]`, in place."""
        height, width = box.shape[:2]
        if min(height, width) < SMALLEST_BOX:
            return
        canvas = Pillow.fromarray(box)
        name = FACES[int(rng.integers(len(FACES)))]
        lines, size = self._fit(text, width, height, name)
        left = int(rng.integers(max(1, width // 12)))
        draw = ImageDraw.Draw(canvas)
        draw.multiline_text((left, 1), lines, fill=tuple(int(v) for v in ink), font=_face(name, size))
        box[:] = np.asarray(canvas)

    @staticmethod
    def _fit(text: str, width: int, height: int, name: str) -> tuple[str, int]:
        for size in (96, 72, 56, 44, 34, 26, 20, 15, 11):
            columns = max(4, int(width / (size * 0.66)))
            lines = textwrap.wrap(text, columns) or [""]
            left, top, right, bottom = ImageDraw.Draw(Pillow.new("RGB", (1, 1))).multiline_textbbox(
                (0, 0), "\n".join(lines), font=_face(name, size)
            )
            if right - left <= width and bottom - top + 4 <= height:
                return "\n".join(lines), size
        return "\n".join(lines), 9
