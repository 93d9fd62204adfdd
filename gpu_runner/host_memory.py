"""Giving free memory back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """What malloc keeps of what was freed, some 5 to 10 ms long. A C library without ``malloc_trim(3)`` does so itself.

    Tensors of a model that has left lie between others that have not, so malloc returns little of them on its own.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
