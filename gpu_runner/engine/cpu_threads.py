"""Which threads of a process share the work of one operation on the CPU: one thread's, and no other's.

torch counts them for each thread that it is called from, and new threads begin with what was set last.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

import torch

PAUSE_SOFT = 1  # omp_pause_soft
RTLD_NOLOAD = getattr(os, "RTLD_NOLOAD", 0)  # another copy would know nothing of torch's threads


def work_alone() -> None:
    """For the calling thread.

    OpenMP gives every thread that shares its work a crew of its own, and keeps it. As soon as all crews together are more
    than the cores, none of their members waits actively for the next operation any more: each is put to sleep and
    woken up some ten thousand times for a picture, which then takes up to 1.8 times as long.
    """
    torch.set_num_threads(1)


def share_among(count: int) -> None:
    """For the calling thread."""
    torch.get_num_threads()  # its first call in a thread takes what was set last, whatever this one has been told
    torch.set_num_threads(count)


def rest() -> None:
    """For the calling thread, when it has nothing to do: its crew goes home. The next operation calls another.

    Its members would go on waiting actively for some milliseconds, just when other processes need the cores for what
    becomes of a finished picture. Where OpenMP is not GNU's, nothing happens.
    """
    if (openmp := _openmp()) is not None:
        openmp.omp_pause_resource_all(PAUSE_SOFT)


@cache
def _openmp() -> ctypes.CDLL | None:
    """The one that torch has loaded."""
    try:
        library = ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_LOCAL | RTLD_NOLOAD)
        return library if hasattr(library, "omp_pause_resource_all") else None
    except OSError:
        return None
