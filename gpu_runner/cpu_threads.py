"""Which threads of a process share the work of one operation on the CPU: one thread's, and no other's.

torch counts them for each thread that it is called from, and new threads begin with what was set last.
"""

from __future__ import annotations

import torch


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
