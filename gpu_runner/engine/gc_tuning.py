"""Garbage collection and thread switch interval of a runner process.

See docs/decisions/0010-load-models-without-stalling-steps.md.
"""

from __future__ import annotations

import gc
import sys

# A denoising step makes some thousand short calls from Python. With Python's default of 5 ms, each of them
# can wait that long for the GIL while another thread loads a model.
SWITCH_INTERVAL_S = 0.00001


def tune() -> None:
    """Configure the garbage collector and the thread switch interval. Call once, after the imports.

    A full collection blocks all threads. ``gc.freeze`` excludes about 400,000 objects of imported libraries.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
