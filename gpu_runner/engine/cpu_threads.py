"""Number of CPU threads that torch uses for one operation. The setting belongs to the calling thread.

OpenMP keeps a pool of worker threads for every thread that runs parallel operations. Once all pools together have more
threads than there are cores, GNU's OpenMP stops busy waiting, and every operation begins with waking threads up. So only the
engine's thread has a pool (docs/decisions/0013-one-crew-of-cpu-threads.md).
"""

from __future__ import annotations

import torch


def use_one_thread() -> None:
    torch.set_num_threads(1)


def use_threads(count: int) -> None:
    torch.get_num_threads()  # its first call in a thread overwrites the setting with the process's last one
    torch.set_num_threads(count)
