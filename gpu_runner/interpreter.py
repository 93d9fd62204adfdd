"""How the threads of one Python process share it, so that loading a model hardly slows the steps under way.

A step is a thousand short calls from Python, and after each of them the engine's thread may find a loading thread at work.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# How long a thread waits before it asks the other one to make room. With Python's own 5 ms, a step beside a load would
# take seconds. Shorter than this, the kernel's own delays weigh more.
SWITCH_S = 0.00001
PR_SET_TIMERSLACK = 29  # see prctl(2)
TIMER_SLACK_NS = 1000


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
    checkpoint brings one about.
    """
    gc.collect()
    gc.freeze()
