"""In a process of its own: what is set holds for its whole life."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import psutil, numpy as np
from stream.heap import give_memory_back
if {wanted}:
    give_memory_back()
np.ones(30_000_000, np.uint8)  # freed at once: from here on glibc would map nothing smaller apart
blocks = [np.ones(1_000_000, np.uint8) for _ in range(200)]
full = psutil.Process().memory_info().rss
del blocks[:-1]  # the last one stays above the others
print((full - psutil.Process().memory_info().rss) // 1_000_000)
"""


def freed_mb(wanted: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(wanted=wanted)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_what_was_freed_goes_back_to_the_system() -> None:
    assert freed_mb(wanted=True) > 150 > freed_mb(wanted=False)
