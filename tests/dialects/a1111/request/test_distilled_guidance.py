"""Forge's ``distilled_cfg_scale`` is the guidance that FLUX.1 dev reads; other families do not use it, and say so."""

import json

import pytest

from dialects.a1111.request.submission import read_request
from models_registry.models import VARIANT, Family, Kind, ModelFile

TEXT = (
    "a cat\nSteps: 7, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 2.5, Seed: 9, "
    "Size: 64x64"
)


@pytest.fixture
def read(alice):
    """Read a request for a checkpoint of a family and variant: its guidance scale, and its warnings."""

    def read(family: str, variant: str, **body) -> tuple[float, str]:
        ModelFile.objects.filter(kind=Kind.CHECKPOINT).update(family=family, metadata={VARIANT: variant})
        submission = read_request("txt2img", alice.key, body, "http://localhost").submission
        return submission.request.guidance_scale, json.dumps(submission.received["warnings"])

    return read


@pytest.mark.parametrize(
    "body", [{"distilled_cfg_scale": 2.5, "cfg_scale": 1}, {"infotext": TEXT}], ids=["field", "infotext"]
)
def test_embedded_guidance_is_the_distilled_scale(read, body) -> None:
    guidance, warnings = read(Family.FLUX1, "", **body)
    assert guidance == 2.5
    assert "distilled" not in warnings
    assert "cfg_scale" not in warnings


def test_other_guidance_beside_it_is_named(read) -> None:
    guidance, warnings = read(Family.FLUX1, "", distilled_cfg_scale=2.5, cfg_scale=4)
    assert guidance == 2.5
    assert "cfg_scale has no effect beside distilled_cfg_scale" in warnings


@pytest.mark.parametrize(
    ("family", "variant"), [(Family.SD15, ""), (Family.FLUX1, "schnell")], ids=["sd15", "schnell"]
)
def test_other_families_do_not_use_it_and_say_so(read, family, variant) -> None:
    guidance, warnings = read(family, variant, distilled_cfg_scale=2.5, cfg_scale=4)
    assert guidance == 4
    assert "distilled_cfg_scale has no effect" in warnings


def test_value_that_is_no_number_is_refused_by_name(alice) -> None:
    response = alice.post("txt2img", {"distilled_cfg_scale": "high"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "distilled_cfg_scale"]
