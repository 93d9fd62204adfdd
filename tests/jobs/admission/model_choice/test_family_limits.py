"""Admission refuses what the family of the checkpoint cannot do, and notes what has no effect."""

import pytest

from gpu_runner.protocol import Hires
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from models_registry.models import ENCODERS, FOLDERS, Family, Kind, ModelFile


@pytest.fixture
def flow_checkpoint(db):
    path = f"{FOLDERS[Kind.CHECKPOINT]}/flow.safetensors"
    encoders = {ENCODERS: "clip_l"}
    return ModelFile.objects.create(
        kind=Kind.CHECKPOINT, name="flow", path=path, sha256="f" * 64, family=Family.SD3, metadata=encoders
    )


def test_sampler_that_the_family_does_not_have_is_refused_with_those_that_it_has(submission, flow_checkpoint):
    asked = submission(checkpoint="flow", sampler="DDIM", clip_skip=2)
    with pytest.raises(
        Unsupported, match=r"sampler must be one of Euler, Heun.*Stable Diffusion 3.x \(got DDIM\)"
    ):
        admit(asked)
    assert {refused.field for refused in quote(asked).refusals} == {"sampler", "clip_skip"}
    assert quote(submission(checkpoint="flow", sampler="DPM++ 2M")).refusals == []


def test_second_checkpoint_with_other_latents_is_refused(submission, checkpoint, flow_checkpoint):
    hires = Hires(width=1024, height=1024, checkpoint="flow")
    with pytest.raises(Unsupported, match=r"flow is for Stable Diffusion 3\.x, and shapes is not") as refused:
        admit(submission(checkpoint="shapes", hires=hires))
    assert refused.value.field == "hires"
