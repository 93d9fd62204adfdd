"""The double says nothing that a real ComfyUI (0.8.0, recorded by transcript.py) was not heard to say, and says it in its order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gpu_runner.comfyui.transcript import RECORDED, transcript
from tests.support.comfyui_double import Double

UNTOLD = (None, "NoneType")


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return json.loads(RECORDED.read_text())


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Any]]:
    double = Double(newer=True)
    yield transcript(double.url)
    double.close()


def differences(said: Any, real: Any, where: str) -> Iterator[str]:
    """What is said that the real server does not say, or says otherwise."""
    if isinstance(said, dict) and isinstance(real, dict):
        for name, part in said.items():
            if name not in real:
                yield f"{where}: {name} is not said"
            else:
                yield from differences(part, real[name], f"{where}.{name}")
    elif isinstance(said, list) and isinstance(real, list):
        if said and real:
            yield from differences(said[0], real[0], where)
    elif said != real and said not in UNTOLD and real not in UNTOLD:
        yield f"{where}: {said}, and not {real}"


def test_nothing_is_said_that_the_real_server_does_not_say(played, real):
    assert list(differences(played, real, "")) == []


def test_the_frames_come_in_its_order(played, real):
    in_order = [kind for kind in real["frames"] if kind in played["frames"]]
    assert list(played["frames"]) == in_order
    assert {"execution_start", "executing", "binary 4", "progress", "execution_success"} <= set(in_order)
