"""High dynamic range on an ordinary screen: the curve that browsers apply where the screen has no headroom.

It is the reference white tone mapping of SMPTE ST 2094-50 as Chromium applies it to PQ and HLG pictures: one
gain for all three channels, found from the brightest of them, in BT.2020.
"""

from dataclasses import dataclass
from math import exp2, log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.images.encodings import HDR_PEAK_NITS, HLG, SDR_PEAK_NITS, Chromaticities
from moderation.images.primaries import BT2020_PRIMARIES, SRGB_PRIMARIES, Floats, between, to_xyz

_KAPPA: Final = 0.65
_POINTS: Final = 8
_OOTF: Final = 0.2
"""HLG's system gamma at 1,000 nits, less one."""
_LEAST: Final = 1e-9
_GAINS: Final = 16_384
_PQ_TOP: Final = 10_000 / SDR_PEAK_NITS
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tone:
    """The steps for a strip of pixels: `[3,3]` matrices for row vectors, and gains over the brightest.

    The gains are at equal steps of the fourth root, like vision.
    """

    luminance: Singles | None
    to_wide: Singles
    to_srgb: Singles
    gains: Singles
    top: float

    def apply(self, light: Singles) -> Singles:
        """Linear light `[n,3]` of the file's primaries → linear sRGB `[n,3]`, not yet clipped."""
        wide = light @ self.to_wide
        if self.luminance is not None:
            wide *= np.power(np.maximum(light @ self.luminance, _LEAST), _OOTF)[:, None]
        brightest = np.clip(wide.max(axis=1) / self.top, 0, 1)
        step = (np.sqrt(np.sqrt(brightest)) * (len(self.gains) - 1) + 0.5).astype(np.int32)
        return np.asarray((wide * self.gains[step][:, None]) @ self.to_srgb, np.float32)


def tone(primaries: Chromaticities, transfer: int, peak_nits: float) -> Tone:
    """For samples of 0..1 that `primaries.light_of` has made light."""
    is_hlg = transfer == HLG
    scale = HDR_PEAK_NITS / SDR_PEAK_NITS if is_hlg else 1.0
    top = scale if is_hlg else _PQ_TOP
    roots = np.linspace(0, 1, _GAINS)
    gains = _gain(roots**4 * top, log2(max(peak_nits, SDR_PEAK_NITS) / SDR_PEAK_NITS))
    return Tone(
        luminance=to_xyz(primaries)[1].astype(np.float32) if is_hlg else None,
        to_wide=(between(primaries, BT2020_PRIMARIES) * scale).T.astype(np.float32),
        to_srgb=between(BT2020_PRIMARIES, SRGB_PRIMARIES).T.astype(np.float32),
        gains=gains.astype(np.float32),
        top=top,
    )


def _gain(brightest: Floats, headroom: float) -> Floats:
    """By how much to multiply, for the brightest channel; 1 where the picture needs no headroom."""
    if headroom <= 0:
        return np.ones_like(brightest)
    white = 1 - 0.5 * min(headroom / log2(HDR_PEAK_NITS / SDR_PEAK_NITS), 1)
    x, gains, slopes = _curve(white, exp2(headroom))
    inside = _hermite(np.clip(brightest, x[0], x[-1]), x, gains, slopes)
    beyond = exp2(gains[-1]) * x[-1] / np.maximum(brightest, x[-1])
    return np.asarray(np.where(brightest > x[-1], beyond, np.exp2(inside)))


def _curve(white: float, peak: float) -> tuple[Floats, Floats, Floats]:
    """Points of the gain, as logarithms, between diffuse white and the peak, and the slopes there."""
    middle_x = (1 - _KAPPA) + _KAPPA / white
    middle_y = (1 - _KAPPA) * white + _KAPPA
    ax, ay = 1 - 2 * middle_x + peak, white - 2 * middle_y + 1
    bx, by = 2 * (middle_x - 1), 2 * (middle_y - white)
    t = np.linspace(0, 1, _POINTS)
    x, y = 1 + t * (bx + t * ax), white + t * (by + t * ay)
    slope = (2 * ay * t + by) / (2 * ax * t + bx)
    return x, np.log2(y / x), (x * slope - y) / (np.log(2) * x * y)


def _hermite(at: Floats, x: Floats, y: Floats, slopes: Floats) -> Floats:
    """Cubic through the points with the given slopes."""
    left = np.clip(np.searchsorted(x, at, "right") - 1, 0, len(x) - 2)
    width = x[left + 1] - x[left]
    t = (at - x[left]) / width
    start = (1 + 2 * t) * (1 - t) ** 2 * y[left] + t * (1 - t) ** 2 * width * slopes[left]
    end = t**2 * (3 - 2 * t) * y[left + 1] + t**2 * (t - 1) * width * slopes[left + 1]
    return np.asarray(start + end)
