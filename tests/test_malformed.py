"""Damaged headers, events and policies: an answer of the kind that is promised, never another error.

`ADJUDICATE_TEST_MALFORMED=10000` runs the long version (500 of each kind by default); images as a whole are in
`test_images_fuzz.py`, and `tests/faults` sends events and images through real servers.
"""

import random

import pytest

from tests.fuzz.targets import TARGETS, seeds
from tests.malformed import COUNT, damaged


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", TARGETS)
def test_whatever_is_damaged_is_answered(kind: str) -> None:
    valid = tuple(seeds(kind))
    for whole in valid:
        TARGETS[kind](whole)
    for number in range(COUNT):
        try:
            TARGETS[kind](damaged(random.Random(number), valid))
        except Exception as error:
            raise AssertionError(f"malformed {kind} {number}") from error
