"""LoRAs of SDXL and of flow-matching families, trained on tiny random models: the loss falls, and the file changes the image."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from demo.architectures import demo_model as architecture
from gpu_runner.models.lora.merge import LoraWeight, merged_tensors, read_lora
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.module_copies import with_tensors
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.model_detection.usability import inspect
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.training.denoisers.flow_objective import FlowObjective
from gpu_runner.training.lora_file import lora_file
from gpu_runner.training.trainer import Trainer
from tests.support import flow_models
from tests.support.training_jobs import pink_discs, training_request

pytestmark = pytest.mark.slow

STEPS = 30
SIDE = 64
PROMPT = "a red circle"


def tiny_sdxl() -> LoadedCheckpoint:
    """SDXL's architecture with few and narrow layers. Two calls give the same weights."""
    width, pooled = 48, 24
    unet = {
        "cross_attention_dim": width,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": pooled + 6 * 8,
    }
    first = architecture.TEXT_ENCODER_CONFIG | {"hidden_size": 24, "projection_dim": 24}
    second = first | {"projection_dim": pooled}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        modules = {
            "unet": UNet2DConditionModel(**architecture.UNET_CONFIG | unet),
            "vae": architecture.new_vae(),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**first)),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**second)),
        }
    return LoadedCheckpoint(
        key="sdxl",
        family="sdxl",
        **{name: module.eval().requires_grad_(False) for name, module in modules.items()},
        alphas_cumprod=torch.from_numpy(alphas_cumprod()),
        prediction_type="epsilon",
        vae_scaling=0.13025,
        size_bytes=0,
    )


def trained(checkpoint: LoadedCheckpoint, folder: Path, **training) -> tuple[bytes, list[float]]:
    """The file of a training, and the mean loss of the first and of the last steps."""
    files = pink_discs(4, side=SIDE)
    fields = {"steps": STEPS, "learning_rate": 1e-2, "schedule": "constant", **training}
    trainer = Trainer(checkpoint, training_request(files, side=SIDE, **fields), files, folder)
    trainer.run(lambda _step, _loss: None, lambda: False)
    losses = trainer.state.losses
    assert trainer.samples().size == (2 * SIDE, 2 * SIDE)
    tensors = trainer.adapters.state()
    content = lora_file(
        checkpoint, trainer.request, tensors, steps=STEPS, base_sha256="ab" * 32, date="2026-01-31"
    )
    return content, [sum(part) / len(part) for part in (losses[:10], losses[-10:])]


def tensor_file(data: bytes) -> TensorFile:
    tensors = load(data)
    return TensorFile({name: tuple(tensor.shape) for name, tensor in tensors.items()}, {}, tensors)


@pytest.mark.parametrize("text_rate", [0.0, 1e-3])
def test_sdxl_learns_and_its_file_changes_the_image(tmp_path, draw_latents, request_of, text_rate):
    data, (before, after) = trained(tiny_sdxl(), tmp_path, text_encoder_learning_rate=text_rate)
    assert after < 0.9 * before
    file = tensor_file(data)
    assert any(name.startswith("lora_te2_") for name in file) == bool(text_rate)
    base, lora = tiny_sdxl(), read_lora(file, "zorb")
    assert lora.parts(base) == {"unet", *(("text_encoder", "text_encoder_2") if text_rate else ())}
    use = [LoraWeight(lora, 1.0)]
    changed = {
        part: with_tensors(getattr(base, part), merged_tensors(base, part, use)) for part in lora.parts(base)
    }
    asked = [request_of(prompt=PROMPT, num_inference_steps=4)]
    assert differ(
        *draw_latents(base, asked),
        *draw_latents(replace(base, key="b", unet_key="", text_key="", **changed), asked),
    )


@pytest.mark.parametrize("family", ["sd3", "z_image"])
def test_flow_family_learns_and_its_file_changes_the_image(tmp_path, draw_latents, request_of, family):
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    file, variant = flow_models.WRITERS[family](tmp_path)
    training_store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)  # a training changes the modules
    data, (before, after) = trained(training_store.get(file, variant), tmp_path / "state")
    assert after < 0.95 * before
    identified = inspect(tensor_file(data).shapes, {})
    assert (identified.kind, identified.family, identified.problem) == ("lora", family, "")
    (tmp_path / "zorb.safetensors").write_bytes(data)
    lora = ModelFile(path="zorb.safetensors", sha256=hashlib.sha256(data).hexdigest())
    asked = [request_of(prompt=PROMPT, num_inference_steps=4)]
    drawn = {
        weight: draw_latents(
            store.get(file, replace(variant, loras=(LoraFile(lora, weight, 0.0),) if weight else ())), asked
        )[0]
        for weight in (0.0, 0.5, 1.0)
    }
    assert differ(drawn[0.0], drawn[0.5])
    assert (drawn[1.0] - drawn[0.0]).abs().mean() > (drawn[0.5] - drawn[0.0]).abs().mean()


def differ(one: Tensor, other: Tensor) -> bool:
    return (one - other).abs().mean().item() > 1e-3


def test_flow_times_are_between_image_and_noise_and_shifted_towards_noise():
    generator = torch.Generator().manual_seed(1)
    plain, shifted = (FlowObjective(shift).times(10_000, generator) for shift in (1.0, 3.0))
    assert plain.min() > 0
    assert shifted.max() < 1
    assert plain.median().item() == pytest.approx(0.5, abs=0.02)
    assert shifted.median().item() == pytest.approx(0.75, abs=0.02)


def test_a_step_along_the_velocity_leads_from_noise_to_the_image():
    latents, noise = torch.randn(2, 3, 4, 8, 8).unbind()
    objective, times = FlowObjective(3.0), torch.tensor([0.0, 0.4, 1.0])
    noisy = objective.noised(latents, noise, times)
    assert torch.allclose(noisy[0], latents[0])
    assert torch.allclose(noisy[2], noise[2])
    velocity = objective.target(latents, noise, times)
    assert torch.allclose(noisy - times[:, None, None, None] * velocity, latents, atol=1e-5)


def test_text_encoders_of_flow_families_are_not_trained(tmp_path, checkpoints):
    with pytest.raises(ValueError, match="text encoders of this family"):
        trained(checkpoints["sd3"], tmp_path, text_encoder_learning_rate=1e-3)
