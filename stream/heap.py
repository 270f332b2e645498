"""Returns freed memory to the system, so that a worker does not keep the memory of its largest backlog.

glibc raises the size from which it maps a block apart to that of the largest block freed so far (mallopt(3),
M_MMAP_THRESHOLD), and gives every thread a separate arena. A scorer with a backlog frees pixels by
the megabyte. Its blocks are then scattered over several heaps and stay resident.
"""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_BLOCK: Final = 128 * 1024
"""glibc's initial threshold. Once set, it stays."""


def give_memory_back() -> None:
    """For the rest of the process's life; does nothing where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _BLOCK), (_M_TRIM_THRESHOLD, _BLOCK)):
            mallopt(option, value)
