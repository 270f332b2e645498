"""Primaries and transfer curves by number (ITU-T H.273, tables 2 and 3), as matrices to sRGB and as tables."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.images.encodings import HLG, PQ, SDR_PEAK_NITS, Chromaticities

Floats = NDArray[np.float64]
Parametric = tuple[float, float, float, float, float]
"""g, a, b, c, d of ICC's curve type 3: (a*x + b)^g from d on, c*x below."""

_D65: Final = (0.3127, 0.3290)
_C: Final = (0.310, 0.316)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50: Final = np.array([0.9642, 1.0, 0.8249])

SRGB_PRIMARIES: Final[Chromaticities] = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BT2020_PRIMARIES: Final[Chromaticities] = (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
PRIMARIES: Final[dict[int, Chromaticities]] = {
    1: SRGB_PRIMARIES,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020_PRIMARIES,
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}

SRGB_CURVE: Final[Parametric] = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT1886_CURVE: Final[Parametric] = (2.4, 1, 0, 0, 0)
"""How screens show what BT.709, BT.601 and BT.2020 cameras encode."""
CURVES: Final[dict[int, Parametric]] = {
    1: _BT1886_CURVE,
    4: (2.2, 1, 0, 0, 0),
    5: (2.8, 1, 0, 0, 0),
    6: _BT1886_CURVE,
    7: (1 / 0.45, 0.899627, 0.100373, 1 / 4, 0.091286),
    8: (1, 1, 0, 0, 0),
    11: _BT1886_CURVE,
    13: SRGB_CURVE,
    14: _BT1886_CURVE,
    15: _BT1886_CURVE,
    17: (2.6, 1.034081, 0, 0, 0),
}
"""Transfer characteristics that browsers honour beside PQ and HLG; the logarithmic ones are ignored."""

TRANSFERS: Final = frozenset(CURVES) | {PQ, HLG}


def power(gamma: float) -> Parametric:
    return (gamma, 1, 0, 0, 0)


def light_of(samples: Floats, transfer: int) -> Floats:
    """Samples 0..1 → linear light, 1 being diffuse white; HLG's is scene light of its peak."""
    if transfer == PQ:
        return _pq(samples)
    return _hlg(samples) if transfer == HLG else parametric(samples, CURVES[transfer])


def parametric(samples: Floats, curve: Parametric) -> Floats:
    exponent, scale, offset, slope, start = curve
    bent = np.power(np.maximum(scale * samples + offset, 0), exponent)
    return np.asarray(np.where(samples >= start, bent, slope * samples))


def _pq(samples: Floats) -> Floats:
    """SMPTE ST 2084; 1 is diffuse white, not 10,000 nits."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.power(samples, 1 / m2)
    return np.asarray(np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1) * 10_000 / SDR_PEAK_NITS)


def _hlg(samples: Floats) -> Floats:
    """ARIB STD-B67, inverse of the camera's curve."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.asarray(np.where(samples <= 1 / 2, samples**2 / 3, (np.exp((samples - c) / a) + b) / 12))


def to_xyz(chromaticities: Chromaticities) -> Floats:
    """`[3,3]` from RGB to XYZ adapted to D50. Raises ValueError for primaries that span no space."""
    wx, wy, *colours = chromaticities
    if wy <= 0 or not all(0 <= value <= 1 for value in chromaticities):
        raise ValueError("no white point")
    columns = np.array([[x, y, 1 - x - y] for x, y in zip(colours[::2], colours[1::2], strict=True)]).T
    white = np.array([wx / wy, 1.0, (1 - wx - wy) / wy])
    try:
        weighted = columns * np.linalg.solve(columns, white)
    except np.linalg.LinAlgError as error:
        raise ValueError("primaries on one line") from error
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.solve(_BRADFORD, cones[:, None] * _BRADFORD) @ weighted)


def between(source: Chromaticities, target: Chromaticities) -> Floats:
    """`[3,3]` from one linear RGB to another. Raises ValueError as `to_xyz`."""
    return np.asarray(np.linalg.solve(to_xyz(target), to_xyz(source)))
