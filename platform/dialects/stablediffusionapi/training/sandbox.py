"""The sandbox: trainings that train nothing, store nothing, and go through all states with the time.

An id has the time of its request, so that its state needs no record.
"""

from __future__ import annotations

import re
import time
from typing import Any

from django.utils.translation import gettext as _

from .states import STATES

STATE_S = 5
PREFIX = "sandbox"
ID = re.compile(rf"{PREFIX}([0-9a-f]{{1,12}})")


def new_id() -> str:
    return f"{PREFIX}{int(time.time()):x}"


def status(training_id: str) -> dict[str, Any] | None:
    """State and log of a training of the sandbox; None for any other id."""
    match = ID.fullmatch(training_id)
    age_s = time.time() - int(match[1], 16) if match else -1.0
    if age_s < 0:
        return None
    passed = STATES[: int(age_s // STATE_S) + 1]
    return {"state": passed[-1], "log": "\n".join([_("Sandbox: nothing is trained."), *passed])}
