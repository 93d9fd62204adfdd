"""Garbage collection and thread switching of a runner process (docs/decisions/0010-load-models-without-stalling-steps.md)."""

from __future__ import annotations

import gc
import sys

# A denoising step is some thousand short calls from Python. With Python's default of 5 ms, each of them may wait that long
# for a thread that loads a model.
SWITCH_INTERVAL_S = 0.00001


def tune() -> None:
    """Call it once, after the imports.

    A full collection stops every thread. ``gc.freeze`` excludes the objects of the imported libraries, some 400,000.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
