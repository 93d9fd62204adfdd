"""Number of CPU threads that torch uses for one operation. The setting belongs to the calling thread.

OpenMP keeps a pool of worker threads for every thread that runs parallel operations. If all pools together
have more threads than there are cores, GNU OpenMP stops busy waiting, and every operation has to wake its
threads first. Therefore only the engine thread has a pool (docs/decisions/0013-openmp-threads-for-the-engine-only.md).
"""

from __future__ import annotations

import torch


def use_one_thread() -> None:
    """Limit the calling thread to one CPU thread per operation."""
    torch.set_num_threads(1)


def use_threads(count: int) -> None:
    """Set the number of CPU threads per operation for the calling thread."""
    torch.get_num_threads()  # the first call in a thread overwrites its setting with the process's last one
    torch.set_num_threads(count)
