"""Ad banners, posters and pages, laid out by their shape and drawn on a canvas."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from stream.demo.canvas import (
    BOLD,
    REGULAR,
    Box,
    Colour,
    Pixels,
    fill,
    gradient,
    grain,
    paste,
    whole,
    write,
    write_column,
)
from stream.demo.motifs import Palette, draw

WHITE: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (28, 30, 36)
GREY: Final[Colour] = (110, 114, 122)
PAPER: Final[Colour] = (251, 250, 247)

PALETTES: Final = {
    "sea": Palette((16, 42, 67), (36, 113, 163), (235, 245, 251), (244, 180, 26)),
    "forest": Palette((20, 50, 35), (60, 130, 80), (240, 247, 236), (236, 140, 50)),
    "dusk": Palette((40, 24, 60), (126, 70, 150), (250, 240, 250), (255, 150, 110)),
    "coral": Palette((70, 25, 30), (226, 84, 84), (255, 244, 238), (255, 200, 90)),
    "ember": Palette((26, 16, 14), (196, 60, 20), (255, 226, 150), (250, 150, 30)),
    "steel": Palette((24, 28, 34), (86, 98, 112), (236, 240, 244), (90, 190, 220)),
    "flag": Palette((22, 34, 92), (190, 30, 50), (250, 250, 250), (245, 205, 70)),
    "kraft": Palette((46, 34, 24), (150, 112, 74), (246, 232, 206), (200, 60, 40)),
}

LEAFLET: Final = (
    "The market opens at seven and the first customers come for bread. By nine the square is full, and the "
    "river path carries runners, prams and dogs. Rain is expected after noon, so the stalls will close early. "
    "The library keeps its usual hours, and the evening train runs ten minutes later than last month. Anyone "
    "who lost a blue umbrella may ask at the desk. The choir sings on Thursday; seats are free. Apples are good "
    "this year, and the mill sells flour by the sack. "
)


class Ad(NamedTuple):
    """What a banner says and shows."""

    brand: str
    claim: str
    action: str
    motif: str
    palette: Palette


def _button(pixels: Pixels, box: Box, text: str, palette: Palette) -> None:
    fill(pixels, box, palette.accent)
    write(pixels, text, box.part(0.06, 0.12, 0.94, 0.88), palette.dark, largest=34, centred=True)


def _wide(pixels: Pixels, ad: Ad) -> None:
    box = whole(pixels)
    side = box.height / box.width
    draw(pixels, ad.motif, box.part(0.01, 0.05, 0.01 + side, 0.95).square(), ad.palette)
    text = box.part(0.03 + side, 0.1, 0.74, 0.9)
    write(pixels, ad.brand, text.part(0, 0, 1, 0.3), ad.palette.light, largest=48)
    write(pixels, ad.claim, text.part(0, 0.32, 1, 1), WHITE, largest=64)
    _button(pixels, box.part(0.77, 0.28, 0.97, 0.72), ad.action, ad.palette)


def _tall(pixels: Pixels, ad: Ad) -> None:
    box = whole(pixels)
    write(pixels, ad.brand, box.part(0.08, 0.03, 0.92, 0.12), ad.palette.light, centred=True)
    draw(pixels, ad.motif, box.part(0.05, 0.14, 0.95, 0.5).square(), ad.palette)
    write(pixels, ad.claim, box.part(0.08, 0.5, 0.92, 0.8), WHITE, centred=True)
    _button(pixels, box.part(0.1, 0.85, 0.9, 0.94), ad.action, ad.palette)


def _boxy(pixels: Pixels, ad: Ad) -> None:
    box = whole(pixels)
    write(pixels, ad.brand, box.part(0.06, 0.05, 0.94, 0.18), ad.palette.light)
    draw(pixels, ad.motif, box.part(0.5, 0.16, 0.97, 0.8).square(), ad.palette)
    write(pixels, ad.claim, box.part(0.06, 0.2, 0.52, 0.74), WHITE)
    _button(pixels, box.part(0.06, 0.8, 0.55, 0.94), ad.action, ad.palette)


def banner(size: tuple[int, int], ad: Ad) -> Pixels:
    """An ad of `size` (width, height) pixels."""
    pixels = gradient(size, ad.palette.main, ad.palette.dark)
    width, height = size
    layout = _wide if width > 2 * height else _tall if height > 1.5 * width else _boxy
    layout(pixels, ad)
    return pixels


def poster(size: tuple[int, int], slogan: str, small: str, motif: str, palette: Palette) -> Pixels:
    """A printed poster: a picture below a large slogan, one small line at the foot."""
    pixels = gradient(size, palette.light, palette.light)
    box = whole(pixels)
    fill(pixels, box.part(0, 0, 1, 0.4), palette.main)
    write(pixels, slogan, box.part(0.06, 0.03, 0.94, 0.37), WHITE, centred=True)
    draw(pixels, motif, box.part(0.08, 0.42, 0.92, 0.88).square(), palette)
    fill(pixels, box.part(0, 0.9, 1, 1), palette.dark)
    write(pixels, small, box.part(0.05, 0.91, 0.95, 0.99), WHITE, weight=REGULAR, largest=30, centred=True)
    return grain(pixels, np.random.default_rng(size[0] + len(slogan)), 4)


def placard(size: tuple[int, int], slogan: str, palette: Palette) -> Pixels:
    """A hand-held cardboard sign over a crowd, tilted as if carried."""
    pixels = gradient(size, (196, 214, 232), (150, 160, 170))
    box = whole(pixels)
    draw(pixels, "city", box.part(0, 0.35, 1, 1), Palette((120, 128, 138), GREY, WHITE, (200, 200, 170)))
    sign = gradient((round(box.width * 0.8), round(box.height * 0.42)), palette.light, palette.light)
    write(sign, slogan, whole(sign).part(0.06, 0.08, 0.94, 0.92), palette.dark, centred=True)
    paste(pixels, sign, box.part(0.1, 0.1, 0.9, 0.52))
    fill(pixels, box.part(0.49, 0.52, 0.51, 0.8), palette.main)
    draw(pixels, "crowd", box.part(-0.05, 0.4, 1.05, 1.02), palette)
    turn = cv2.getRotationMatrix2D((box.width / 2, box.height / 2), 4, 1.12)
    turned = cv2.warpAffine(pixels, turn, size, borderMode=cv2.BORDER_REPLICATE)
    return grain(turned.astype(np.uint8), np.random.default_rng(len(slogan)), 7)


def scene(size: tuple[int, int], motif: str, palette: Palette) -> Pixels:
    """A drawing without words, as an editor puts one above an article."""
    pixels = gradient(size, palette.light, palette.accent)
    draw(pixels, motif, whole(pixels).part(0.05, 0.08, 0.95, 1.0), palette)
    return pixels


class Page(NamedTuple):
    """A publisher's page: its name, headline, picture, and the ads in its slots."""

    masthead: str
    headline: str
    caption: str
    hero: Pixels
    ads: tuple[Pixels, ...] = ()


def _note(pixels: Pixels, text: str, box: Box, size: int) -> None:
    write(pixels, text, box, GREY, weight=REGULAR, largest=size)


def _masthead(pixels: Pixels, box: Box, name: str) -> None:
    write(pixels, name, box.part(0.03, 0.1, 0.5, 0.9), INK)
    _note(pixels, "Home · City · Sport · Culture · Weather", box.part(0.52, 0.3, 0.98, 0.8), 18)
    fill(pixels, Box(box.left, box.bottom - 3, box.right, box.bottom), INK)


def _article(pixels: Pixels, box: Box, page: Page) -> None:
    write(pixels, page.headline, Box(box.left, box.top, box.right, box.top + 110), INK, largest=52)
    hero = Box(box.left, box.top + 120, box.right, box.top + 120 + round(box.width * 0.5))
    paste(pixels, page.hero, hero)
    _note(pixels, page.caption, Box(box.left, hero.bottom + 4, box.right, hero.bottom + 26), 14)
    half = (box.width - 24) // 2
    for left in (box.left, box.left + half + 24):
        write_column(pixels, LEAFLET, Box(left, hero.bottom + 40, left + half, box.bottom), INK, 15)


def page(size: tuple[int, int], content: Page) -> Pixels:
    """A page as a screenshot of `size` (width, height): masthead, article, a side column of ads and text."""
    pixels = gradient(size, PAPER, PAPER)
    width, height = size
    _masthead(pixels, Box(0, 0, width, 76), content.masthead)
    split = width - 340
    _article(pixels, Box(28, 96, split - 20, height - 16), content)
    top = 100
    for ad in content.ads:
        box = Box(split, top, split + ad.shape[1], top + ad.shape[0])
        _note(pixels, "Advertisement", Box(split, top - 18, width, top - 2), 12)
        paste(pixels, ad, box)
        top = box.bottom + 40
    if top < height - 60:
        write(pixels, "More from the city", Box(split, top, width - 20, top + 34), INK, weight=BOLD, largest=24)
        write_column(pixels, LEAFLET, Box(split, top + 44, width - 28, height - 16), GREY, 14)
    return pixels
