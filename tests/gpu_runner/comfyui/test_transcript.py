"""The ComfyUI double sends only what a real ComfyUI (0.8.0, recorded by transcript.py) sends, in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gpu_runner.comfyui.transcript import RECORDED, transcript
from tests.support.comfyui_double import Double

UNKNOWN_TYPES = (None, "NoneType")


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return json.loads(RECORDED.read_text())


@pytest.fixture(scope="module")
def from_double() -> Iterator[dict[str, Any]]:
    double = Double(newer=True)
    yield transcript(double.url)
    double.close()


def differences(actual: Any, real: Any, where: str) -> Iterator[str]:
    """Yield what the double sends and the real server does not, or sends with another type."""
    if isinstance(actual, dict) and isinstance(real, dict):
        for name, part in actual.items():
            if name not in real:
                yield f"{where}: {name} is not in the recording"
            else:
                yield from differences(part, real[name], f"{where}.{name}")
    elif isinstance(actual, list) and isinstance(real, list):
        if actual and real:
            yield from differences(actual[0], real[0], where)
    elif actual != real and actual not in UNKNOWN_TYPES and real not in UNKNOWN_TYPES:
        yield f"{where}: {actual} instead of {real}"


def test_the_double_sends_nothing_that_the_real_server_does_not_send(from_double, real):
    assert list(differences(from_double, real, "")) == []


def test_the_frames_come_in_the_recorded_order(from_double, real):
    in_order = [kind for kind in real["frames"] if kind in from_double["frames"]]
    assert list(from_double["frames"]) == in_order
    assert {"execution_start", "executing", "binary 4", "progress", "execution_success"} <= set(in_order)
