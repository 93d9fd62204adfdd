"""A LoRA or ControlNet whose tensors do not fit the checkpoint is refused at admission, whatever its family is."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from models_registry.models import Architecture, Family, Kind, ModelFile
from models_registry.scanning.scan import scan
from tests.support.demo_engine import DEMO_MODELS
from tests.support.lora_files import LINEAR
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet

pytestmark = pytest.mark.slow


@pytest.fixture
def models(db, settings, tmp_path):
    """The demo checkpoint, LoRAs of its width and of another, and a ControlNet of other widths."""
    settings.MODELS_ROOT = tmp_path
    for folder in ("checkpoints", "loras", "controlnet"):
        (tmp_path / folder).mkdir()
    name = "checkpoints/atelier-shapes.safetensors"
    shutil.copy(DEMO_MODELS / name, tmp_path / name)
    wider = random_controlnet(1, block_out_channels=(64, 64, 96, 96))
    save_file(ldm_tensors(wider), tmp_path / "controlnet" / "wider.safetensors")
    module = f"lora_unet_{LINEAR.replace('.', '_')}"
    for stem, inputs in (("fits", WIDTH), ("too wide", 2 * WIDTH)):
        tensors = {"lora_down.weight": torch.zeros(2, inputs), "lora_up.weight": torch.zeros(64, 2)}
        file = tmp_path / "loras" / f"{stem}.safetensors"
        save_file({f"{module}.{part}": tensor for part, tensor in tensors.items()}, file)
    report = scan()
    assert not report.problems


WIDTH = 64  # of the demo checkpoint's text encoder
IMAGE = {"image": {"sha256": "0" * 64}}


def refusal(submission, **fields):
    submission = submission(checkpoint="atelier-shapes", **fields)
    with pytest.raises(Unsupported) as refused:
        admit(submission)
    assert [str(reason) for reason in quote(submission).refusals if isinstance(reason, Unsupported)] == [
        str(refused.value)
    ]
    return str(refused.value), refused.value.field


def test_lora_of_unknown_family_that_does_not_fit_is_refused(submission, models):
    assert set(ModelFile.objects.filter(kind=Kind.LORA).values_list("family", flat=True)) == {Family.UNKNOWN}
    message, field = refusal(submission, loras=[{"name": "too wide"}])
    assert "too wide does not fit atelier-shapes" in message
    assert "has the shape 64x64 there (got 64x128)" in message
    assert field == "lora"
    assert admit(submission(checkpoint="atelier-shapes", loras=[{"name": "fits"}])).pk


def test_controlnet_of_other_widths_is_refused(submission, models):
    unit = {"model": "wider", **IMAGE}
    message, field = refusal(submission, controls=[unit])
    assert "wider does not fit atelier-shapes: its block_out_channels is [64, 64, 96, 96]" in message
    assert field == "controlnet"


def test_files_of_an_older_scan_are_not_compared(submission, models):
    Architecture.objects.all().delete()
    assert admit(submission(checkpoint="atelier-shapes", loras=[{"name": "too wide"}])).pk
