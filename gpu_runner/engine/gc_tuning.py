"""How the threads of one Python process share it, so that loading a model hardly slows the steps under way.

A step is a thousand short calls from Python, and after each of them the engine's thread may find a loading thread at work.
A full garbage collection stops all of them.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from dataclasses import dataclass, field

from gpu_runner.models import devices

# How long a thread waits before it asks the other one to make room. With Python's own 5 ms, a step beside a load would
# take seconds. Shorter than this, the kernel's own delays weigh more.
SWITCH_S = 0.00001
PR_SET_TIMERSLACK = 29  # see prctl(2)
TIMER_SLACK_NS = 1000

NEVER_BY_ITSELF = 2**31 - 1  # the most that a threshold of the collector takes
WORTH_WHILE = 10  # collections of the middle generation since the last full one: Python's own threshold
BUSY_S = 600.0


def hand_over_quickly() -> None:
    """For the calling thread, and the switch interval for all of them.

    Linux lets a sleeping thread oversleep by 50 us, five times what it means to wait here.
    """
    sys.setswitchinterval(SWITCH_S)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS)


def keep_what_is_there() -> None:
    """For a process whose libraries are imported: the garbage collector need not look at them again.

    A full collection stops every thread. It would go through some 400,000 objects in a third of a second, and loading a
    checkpoint brings one about. From now on there are none but those of ``FullCollections``.
    """
    gc.collect()
    gc.freeze()
    young, middle, _old = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER_BY_ITSELF)


@dataclass
class FullCollections:
    """And with them, free memory goes back to the system. When nobody waits for a step; or, in a process that is never idle, every ten minutes.

    Models leave memory without them: nothing in one refers to itself in a circle.
    """

    _last: float = field(default_factory=time.monotonic)

    @property
    def are_due(self) -> bool:
        return gc.get_count()[2] >= WORTH_WHILE

    @property
    def are_overdue(self) -> bool:
        return self.are_due and time.monotonic() - self._last >= BUSY_S

    def run(self) -> None:
        gc.collect()
        devices.give_back()
        self._last = time.monotonic()
