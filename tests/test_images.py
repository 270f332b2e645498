"""What an accepted image becomes: colours, backgrounds, rotation, tiles, frames."""

import io
import itertools
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from moderation.images import PREPROCESSING, Limits, single_view, views
from moderation.images.jpeg import scale_divisor
from moderation.images.views import perceptual_hash
from tests.drawn import FORMATS, animation, encoded, exif, flat, picture, png_chunk, raw_png

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def mean_colour(square: Any) -> tuple[int, ...]:
    return tuple(round(float(level)) for level in square.reshape(-1, 3).mean(axis=0))


def close(found: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 3) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


def reference(pixels: Any, size: int = 224) -> Any:
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_picture(kind: str) -> None:
    drawn = picture(640, 480)
    found = views(encoded(drawn, kind))
    assert found.pixels.shape == (1, 224, 224, 3)
    assert found.pixels.dtype == np.uint8
    assert found.pixels.flags["C_CONTIGUOUS"]
    assert np.abs(found.pixels[0].astype(int) - reference(drawn)).mean() < (9 if kind == "GIF" else 3)
    facts = found.facts
    assert (facts.format, facts.width, facts.height, facts.frames, facts.views) == (kind, 640, 480, 1, 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_bytes_give_the_same_pixels(kind: str) -> None:
    data = encoded(picture(300, 250), kind)
    first, second = views(data), views(data)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.perceptual_hash == second.perceptual_hash
    assert np.array_equal(single_view(data), first.pixels[0])


def test_a_lossless_picture_is_the_plain_area_average() -> None:
    drawn = picture(640, 480)
    assert np.array_equal(views(encoded(drawn, "PNG")).pixels[0], reference(drawn))


@pytest.mark.parametrize("size", [32, 224, 299])
def test_any_size_of_view(size: int) -> None:
    assert views(encoded(picture(640, 480), "JPEG"), size).pixels.shape == (1, size, size, 3)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 95}, {"optimize": True}]
)
def test_scaled_jpeg_decoding_stays_near_the_full_one(options: dict[str, Any]) -> None:
    data = encoded(picture(2000, 1500), "JPEG", **options)
    full = reference(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    difference = np.abs(views(data).pixels[0].astype(int) - full)
    assert difference.mean() < 1.0
    assert difference.max() < 24


def test_scaled_decoding_keeps_twice_the_target() -> None:
    sides = {447: 1, 448: 1, 895: 1, 896: 2, 1791: 2, 1792: 4, 3583: 4, 3584: 8, 9999: 8}
    assert {side: scale_divisor(side, side + 50, 224) for side in sides} == sides


def test_grey_jpeg() -> None:
    assert close(mean_colour(views(encoded(flat((90,), mode="L"), "JPEG")).pixels[0]), (90, 90, 90))


@pytest.mark.parametrize("ink", [(0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255)])
def test_cmyk_jpeg_has_the_colours_of_its_inks(ink: tuple[int, ...]) -> None:
    """Pillow writes CMYK as Adobe does, inverted, with an APP14 marker."""
    wanted = tuple(round((255 - c) * (255 - ink[3]) / 255) for c in ink[:3])
    data = encoded(flat(ink, mode="CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    assert close(mean_colour(views(data).pixels[0]), wanted, 6)


def test_large_cmyk_jpeg_is_scaled_too() -> None:
    drawn = picture(2000, 1600)
    data = encoded(Image.fromarray(drawn).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(views(data).pixels[0].astype(int) - reference(drawn)).mean() < 3


def test_jpeg_stored_as_rgb() -> None:
    data = encoded(flat((200, 100, 50)), "JPEG", keep_rgb=True, quality=100)
    assert close(mean_colour(views(data).pixels[0]), (200, 100, 50))


def test_sixteen_bit_grey_png() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None, :].repeat(48, axis=0)
    found = views(encoded(Image.fromarray(ramp), "PNG"), 64).pixels[0]
    assert found[0, 0, 0] <= 4
    assert found[0, -1, 0] >= 251
    assert (np.diff(found[10, :, 1].astype(int)) >= 0).all()


def test_sixteen_bit_colour_png() -> None:
    pixel = struct.pack(">HHH", 0xC8C8, 0x6464, 0x3232)
    data = raw_png(40, 30, (b"\0" + pixel * 40) * 30, bits=16)
    assert close(mean_colour(views(data).pixels[0]), (200, 100, 50))


def test_sixteen_bit_grey_png_with_a_transparent_level() -> None:
    row = b"\0" + struct.pack(">H", 0x8000) * 20 + struct.pack(">H", 0x4000) * 20
    trns = png_chunk(b"tRNS", struct.pack(">H", 0x8000))
    data = raw_png(40, 30, row * 30, bits=16, colour_type=0, extra=trns)
    white, black = views(data).pixels
    assert close(tuple(white[100, 20]), (255, 255, 255))
    assert close(tuple(black[100, 20]), (0, 0, 0))
    assert close(tuple(white[100, 200]), (64, 64, 64))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_png(mode: str) -> None:
    drawn = Image.fromarray(picture(64, 48)).convert("L" if mode in "1LA" else "RGB").convert(mode)
    assert views(encoded(drawn, "PNG")).pixels.shape[0] == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_alpha_is_seen_on_white_and_on_black(kind: str) -> None:
    """Black ink on nothing shows on white pages only, white ink on dark pages only."""
    drawn = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, 31, 47), fill=(0, 0, 0, 255))
    options = {} if kind == "PNG" else {"quality": 100}
    white, black = views(encoded(drawn, kind, **options)).pixels
    assert close(tuple(white[100, 30]), (0, 0, 0), 6)
    assert close(tuple(white[100, 200]), (255, 255, 255), 6)
    assert black.max() <= 12


def test_half_transparent_colour_is_blended() -> None:
    white, black = views(encoded(flat((200, 100, 0, 128), mode="RGBA"), "PNG")).pixels
    assert close(mean_colour(white), (227, 177, 127))
    assert close(mean_colour(black), (100, 50, 0))


def test_colours_under_full_transparency_do_not_bleed_in() -> None:
    drawn = np.zeros((48, 64, 4), np.uint8)
    drawn[:, :32] = (0, 0, 255, 255)
    drawn[:, 32:] = (255, 0, 0, 0)
    white, black = views(encoded(Image.fromarray(drawn), "PNG")).pixels
    assert (white[..., 1].astype(int) - white[..., 0]).max() <= 2
    assert black[..., 0].max() <= 2


def test_an_opaque_alpha_channel_adds_no_view() -> None:
    assert len(views(encoded(flat((1, 2, 3, 255), mode="RGBA"), "PNG")).pixels) == 1


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_transparency(kind: str) -> None:
    drawn = Image.new("P", (64, 48), 1)
    drawn.putpalette([255, 0, 0, 0, 255, 0])
    drawn.paste(0, (0, 0, 32, 48))
    white, black = views(encoded(drawn, kind, transparency=1)).pixels
    assert close(tuple(white[100, 30]), RED)
    assert close(tuple(white[100, 200]), (255, 255, 255))
    assert close(tuple(black[100, 200]), (0, 0, 0))


def test_browsers_read_no_rotation_from_a_webp() -> None:
    drawn = Image.new("RGB", (160, 80), RED)
    assert views(encoded(drawn, "WEBP", exif=exif(6))).facts.width == 160


CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation_is_applied(kind: str, turned: int) -> None:
    """The stored top left corner is red; where it must appear is the definition of the tag."""
    drawn = Image.new("RGB", (160, 80), (0, 0, 0))
    drawn.paste(RED, (0, 0, 40, 20))
    found = views(encoded(drawn, kind, exif=exif(turned), quality=95))
    row, column = CORNERS[turned]
    assert found.pixels[0][row * 10 - (row < 0), column * 10 - (column < 0)][0] > 200
    assert found.pixels[0][100, 112].max() < 60
    sides = (found.facts.width, found.facts.height)
    assert sides == ((80, 160) if turned >= 5 else (160, 80))


@pytest.mark.parametrize("block", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"nonsense", exif(6)[6:14]])
def test_a_broken_exif_block_turns_nothing(block: bytes) -> None:
    data = encoded(flat(RED, (160, 80)), "JPEG", exif=b"Exif\0\0" + block)
    assert views(data).facts.width == 160


def swapped_profile() -> bytes:
    """An ICC profile of an RGB space whose red and blue primaries are exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for at in range(132, 132 + 12 * count, 12):
        tag = bytes(profile[at : at + 4])
        profile[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_icc_profile_is_honoured(kind: str) -> None:
    data = encoded(flat(RED), kind, icc_profile=swapped_profile(), quality=100)
    assert close(mean_colour(views(data).pixels[0]), BLUE, 8)


def test_an_icc_profile_is_honoured_under_alpha() -> None:
    data = encoded(flat((*RED, 128), mode="RGBA"), "PNG", icc_profile=swapped_profile())
    assert close(mean_colour(views(data).pixels[1]), (0, 0, 128), 5)


def test_an_srgb_profile_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    drawn = picture(300, 250)
    for kind in ("JPEG", "PNG"):
        plain, tagged = views(encoded(drawn, kind)), views(encoded(drawn, kind, icc_profile=srgb))
        assert np.array_equal(plain.pixels, tagged.pixels)


@pytest.mark.parametrize("profile", [b"x", b"\0" * 200, swapped_profile()[:300]])
def test_a_broken_profile_is_ignored_as_browsers_do(profile: bytes) -> None:
    for kind in ("JPEG", "PNG"):
        assert close(mean_colour(views(encoded(flat(RED), kind, icc_profile=profile)).pixels[0]), RED)


def test_png_gamma_is_honoured() -> None:
    """The two-faced PNG: nearly black without its gAMA chunk, a picture with it."""
    rows = (b"\0" + bytes((16, 16, 16)) * 40) * 30
    gamma = png_chunk(b"gAMA", struct.pack(">I", 200_000))
    plain, bright = views(raw_png(40, 30, rows)), views(raw_png(40, 30, rows, extra=gamma))
    assert close(mean_colour(plain.pixels[0]), (16, 16, 16))
    expected = round(255 * (16 / 255) ** (1 / (2.0 * 2.2)))
    assert close(mean_colour(bright.pixels[0]), (expected,) * 3)
    usual = png_chunk(b"gAMA", struct.pack(">I", 45_455))
    assert np.array_equal(views(raw_png(40, 30, rows, extra=usual)).pixels, plain.pixels)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(300, 250, 1), (970, 400, 1), (300, 600, 1), (970, 250, 3), (160, 600, 3), (728, 90, 5), (320, 50, 4), (88, 31, 1),
     (640, 3000, 3), (9000, 30, 5)],
)  # fmt: skip
def test_extreme_shapes_get_tiles(width: int, height: int, expected: int) -> None:
    for kind in ("JPEG", "PNG"):
        found = views(encoded(picture(width, height), kind))
        assert len(found.pixels) == found.facts.views == expected


@pytest.mark.parametrize("upright", [True, False])
def test_tiles_cover_everything_and_overlap(upright: bool) -> None:
    """Sixteen coloured steps along the long side: each is somewhere, neighbours share some."""
    steps = np.arange(16, dtype=np.uint8).repeat(80)[None, :, None].repeat(120, axis=0).repeat(3, axis=2) * 15
    drawn = np.ascontiguousarray(steps.transpose(1, 0, 2)) if upright else steps
    tiles = views(encoded(drawn, "PNG"), limits=Limits()).pixels[1:]
    seen = [set((np.unique(np.round(tile / 15))).astype(int)) for tile in tiles]
    assert set().union(*seen) == set(range(16))
    assert all(a & b for a, b in itertools.pairwise(seen))
    assert [min(levels) for levels in seen] == sorted(min(levels) for levels in seen)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (223, 225)])
@pytest.mark.parametrize("kind", FORMATS)
def test_tiny_and_thin_images(kind: str, size: tuple[int, int]) -> None:
    found = views(encoded(flat((10, 200, 60), size), kind))
    assert found.pixels.shape[1:] == (224, 224, 3)
    assert close(mean_colour(found.pixels[0]), (10, 200, 60), 12)
    assert len(found.perceptual_hash) == 64


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_strip_as_wide_as_jpeg_allows(kind: str) -> None:
    found = views(encoded(flat((10, 200, 60), (65_500, 12)), kind))
    assert (found.facts.width, found.facts.views) == (65_500, 5)
    assert close(mean_colour(found.pixels[4]), (10, 200, 60), 6)


def test_the_hash_is_the_same_for_a_smaller_copy_and_another_format() -> None:
    drawn = picture(800, 600)
    first = int(views(encoded(drawn, "PNG")).perceptual_hash, 16)
    for other in (encoded(drawn, "JPEG", quality=60), encoded(Image.fromarray(drawn).resize((400, 300)), "WEBP")):
        assert (first ^ int(views(other).perceptual_hash, 16)).bit_count() <= 31
    different = int(views(encoded(picture(800, 600, seed=5), "PNG")).perceptual_hash, 16)
    assert (first ^ different).bit_count() > 60


def test_the_hash_is_the_same_for_any_view_size() -> None:
    data = encoded(picture(800, 600), "PNG")
    hashes = [int(views(data, size).perceptual_hash, 16) for size in (160, 224, 384)]
    assert all((hashes[0] ^ other).bit_count() <= 20 for other in hashes)
    assert perceptual_hash(views(data).pixels[0]) == views(data).perceptual_hash


ANIMATED = ("GIF", "WEBP", "AVIF", "PNG")


def colours_in(found: Any) -> list[tuple[int, ...]]:
    return [mean_colour(square) for square in found.pixels]


@pytest.mark.parametrize("kind", ANIMATED)
def test_a_frame_that_differs_is_never_missed(kind: str) -> None:
    """Forty frames, one of them different, anywhere: first-frame scoring would miss it."""
    for position in (0, 1, 17, 38, 39):
        frames = [flat((60, 60, 60)) for _ in range(40)]
        frames[position] = flat(RED)
        for index, frame in enumerate(frames):  # encoders drop exact repeats
            frame.putpixel((index, 1), (90, 90, 90))
        found = views(animation(frames, kind))
        assert found.facts.frames == 40
        assert any(close(colour, RED, 12) for colour in colours_in(found)), position
        assert close(colours_in(found)[0], RED if position == 0 else (60, 60, 60), 12)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_last_and_longest_shown_come_first(kind: str) -> None:
    frames = [flat((i * 8, 255 - i * 8, (i * 37) % 256)) for i in range(30)]
    durations = [50] * 30
    durations[21] = 5000
    found = views(animation(frames, kind, durations))
    assert len(found.pixels) == 16
    wanted = [frames[i].getpixel((0, 0)) for i in (0, 29, 21)]
    for colour, expected in zip(colours_in(found), wanted, strict=False):
        assert isinstance(expected, tuple)
        assert close(colour, expected, 9)


@pytest.mark.parametrize("kind", ANIMATED)
def test_frames_that_look_alike_are_scored_once(kind: str) -> None:
    frames = [flat((60 + i % 2, 60, 60)) for i in range(20)]
    assert len(views(animation(frames, kind)).pixels) <= 4


def test_the_most_different_frames_are_the_ones_kept() -> None:
    """Two hundred near-greys and ten strong colours: all ten are among the sixteen."""
    strong = [tuple(np.random.default_rng(i).integers(0, 2, 3) * 200 + (i * 5, 0, 55)) for i in range(10)]
    frames = [flat((100 + i % 7, 100, 100)) for i in range(210)]
    for i, colour in enumerate(strong):
        frames[i * 21 + 3] = flat(tuple(int(level) for level in colour))
    found = colours_in(views(animation(frames, "PNG")))
    for colour in {tuple(int(level) for level in c) for c in strong}:
        assert any(close(seen, colour, 26) for seen in found), colour


def test_a_transparent_animation_is_seen_on_both_backgrounds() -> None:
    frames = [Image.new("RGBA", (64, 48), (0, 0, 0, 0)) for _ in range(3)]
    for i, frame in enumerate(frames):
        frame.paste((255, 255, 255, 255), (i * 20, 0, i * 20 + 20, 48))
    found = views(animation(frames, "PNG"))
    assert len(found.pixels) <= 16
    assert any(square.max() < 130 or square.min() == 255 for square in found.pixels)
    assert len({square.tobytes() for square in found.pixels}) == len(found.pixels)


def test_an_animated_leaderboard_keeps_within_the_views() -> None:
    frames = [Image.fromarray(picture(728, 90, seed)) for seed in range(12)]
    found = views(animation(frames, "PNG"))
    assert found.facts.views == len(found.pixels) == 16
    assert views(animation(frames, "PNG"), limits=Limits(max_views=5)).facts.views == 5


def test_an_apng_with_a_separate_still_scores_the_still_too() -> None:
    frames = [flat(GREEN), flat(BLUE)]
    data = encoded(flat(RED), "PNG", save_all=True, append_images=frames, default_image=True, duration=50)
    found = views(data)
    assert found.facts.frames == 3
    for wanted in (RED, GREEN, BLUE):
        assert any(close(colour, wanted) for colour in colours_in(found))


def test_the_preprocessing_has_a_version() -> None:
    assert PREPROCESSING
