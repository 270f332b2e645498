"""Sources of a training set differ in size by a hundred: none shall decide for all."""

import numpy as np
from numpy.typing import NDArray


def balanced(source: NDArray[np.str_], full: int) -> NDArray[np.float64]:
    """Weight of each image `[N]`, 1 on average: large sources weigh less than their number (see `Recipe.balance`)."""
    _, place, count = np.unique(source, return_inverse=True, return_counts=True)
    share = np.sqrt(np.minimum(1.0, full / count))[place] if full else np.ones(len(source))
    return np.asarray(share / share.mean() if len(share) else share)
