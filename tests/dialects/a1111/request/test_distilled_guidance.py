"""Forge's ``distilled_cfg_scale`` is the guidance that FLUX.1 dev reads; other families do not use it, and say so."""

import json

import pytest

from models_registry.models import VARIANT, Family, Kind, ModelFile

pytestmark = pytest.mark.slow

TEXT = "a cat\nSteps: 7, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 2.5, Seed: 9, Size: 64x64"


@pytest.fixture
def use(alice):
    """Make a checkpoint of a family and variant the only one."""

    def make(family: str, variant: str = "") -> None:
        ModelFile.objects.filter(kind=Kind.CHECKPOINT).update(family=family, metadata={VARIANT: variant})

    return make


@pytest.mark.parametrize(
    "body", [{"distilled_cfg_scale": 2.5, "cfg_scale": 1}, {"infotext": TEXT}], ids=["field", "infotext"]
)
def test_embedded_guidance_is_the_distilled_scale(alice, use, body) -> None:
    use(Family.FLUX1)
    job = alice.submit(**body, sampler_name="Euler", scheduler="Simple")
    assert job.generation_request.guidance_scale == 2.5
    assert "distilled_cfg_scale" not in json.dumps(job.received["warnings"])


@pytest.mark.parametrize(
    ("family", "variant"), [(Family.SD15, ""), (Family.FLUX1, "schnell")], ids=["sd15", "schnell"]
)
def test_other_families_do_not_use_it_and_say_so(alice, use, family, variant) -> None:
    use(family, variant)
    job = alice.submit(distilled_cfg_scale=2.5, cfg_scale=4, sampler_name="Euler", scheduler="Simple")
    assert job.generation_request.guidance_scale == 4
    assert "distilled_cfg_scale has no effect" in json.dumps(job.received["warnings"])


def test_value_that_is_no_number_is_refused_by_name(alice) -> None:
    response = alice.post("txt2img", {"distilled_cfg_scale": "high"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "distilled_cfg_scale"]
