"""What teachers say of training views, for a network to learn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Targets of the network for M views.

    answers:  `[M,L]` in 0..1, NaN where unknown.
    features: `[M,G]`, whitened: what a linear map of the network's features is to give; G may be 0.
    """

    answers: Floats
    features: Floats
