"""How a file says that its samples become light: one of four, or nothing (which means sRGB)."""

from dataclasses import dataclass
from typing import Final

SDR_PEAK_NITS: Final = 203.0
"""Luminance of diffuse white that browsers assume (ITU-R BT.2408)."""
HDR_PEAK_NITS: Final = 1000.0
"""Peak of a PQ or HLG picture that does not announce one."""

PQ, HLG = 16, 18
_SRGB: Final = (1, 13)

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""


@dataclass(frozen=True, slots=True)
class Icc:
    """An ICC profile that browsers honour, rebuilt from what counts of it.

    describes:  mode of the samples that it is for: L, RGB or CMYK.
    applied_to: mode in which Little CMS gets them.
    """

    profile: bytes
    describes: str
    applied_to: str

    def fits(self, mode: str) -> bool:
        """Grey samples may have a profile for RGB."""
        return mode == self.describes or (mode, self.describes) == ("L", "RGB")


@dataclass(frozen=True, slots=True)
class CodePoints:
    """Colour primaries and transfer characteristics of ITU-T H.273. peak_nits: the brightest sample."""

    primaries: int
    transfer: int
    peak_nits: float = HDR_PEAK_NITS

    def is_srgb(self) -> bool:
        return (self.primaries, self.transfer) == _SRGB

    def is_hdr(self) -> bool:
        return self.transfer in (PQ, HLG)


@dataclass(frozen=True, slots=True)
class Gamma:
    """PNG's gAMA, light = sample ** (1 / gamma), and cHRM; without it the primaries are sRGB's."""

    gamma: float
    chromaticities: Chromaticities | None = None


Encoding = Icc | CodePoints | Gamma | None
