"""Bounds the memory that a process keeps after it has read large images."""

from __future__ import annotations

import ctypes
import os

M_MMAP_THRESHOLD = -3  # of glibc's mallopt(3)
MMAP_THRESHOLD_BYTES = 1024 * 1024


def return_large_blocks() -> bool:
    """Return large blocks to the system when they are freed. Has no effect, and returns False, without glibc.

    By default glibc raises the size from which a block is mapped on its own, to up to 32 MB, after the first such
    block is freed. Bodies and decoded images then come from the heaps of the threads, and are kept by them: with 32
    threads a process grew from 66 MB to 1.5 GB in 360 images, and stays at 74 MB with a fixed size (`python -m bench
    memory`). A variable of the operator's takes precedence.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES))
