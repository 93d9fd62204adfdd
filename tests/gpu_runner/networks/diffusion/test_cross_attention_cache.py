from dataclasses import replace

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock

from gpu_runner import text_projections
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.diffusion.unet import denoise
from gpu_runner.networks.module_copies import with_tensors
from gpu_runner.text_projections import CREWS_KEPT, CrewTexts, TextProjection


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34).get(file)


@pytest.fixture
def projected(monkeypatch) -> list[TextProjection]:
    """Each projection that was really computed."""
    computed = []
    forward = torch.nn.Linear.forward

    def counted(module, text):
        if isinstance(module, TextProjection):
            computed.append(module)
        return forward(module, text)

    monkeypatch.setattr(torch.nn.Linear, "forward", counted)
    return computed


def guidance(seed: int, tokens: int = 77) -> Guidance:
    positive, negative = torch.randn(2, tokens, 64, generator=torch.Generator().manual_seed(seed))
    return Guidance(((Conditioning(positive), 1.0),), Conditioning(negative), 7.0)


def question(asked: Guidance, sigma: float = 3.0) -> DenoiseInput:
    return DenoiseInput(torch.ones(4, 8, 8), sigma, 500.0, asked)


def projections_of(unet) -> int:
    return 2 * sum(isinstance(module, BasicTransformerBlock) for module in unet.modules())


def test_texts_are_projected_at_the_first_step_only(checkpoint, projected):
    asked = guidance(1)
    for sigma in (3.0, 2.0, 1.0):
        denoise(checkpoint, [question(asked, sigma)])
    assert len(projected) == projections_of(checkpoint.unet)


def test_guidance_at_another_scale_has_the_same_texts(checkpoint, projected):
    asked = guidance(2)
    denoise(checkpoint, [question(asked)])
    denoise(checkpoint, [question(asked.apart_at(3.0))])
    assert len(projected) == projections_of(checkpoint.unet)


def test_large_answers_are_not_kept(checkpoint, projected, monkeypatch):
    monkeypatch.setattr(text_projections, "MOST_BYTES", 0)
    asked = guidance(9)
    for sigma in (3.0, 2.0):
        denoise(checkpoint, [question(asked, sigma)])
    assert len(projected) == 2 * projections_of(checkpoint.unet)
    assert all(module._last is None for module in projected)


def test_others_words_are_projected_anew(checkpoint):
    first, second = guidance(3), guidance(4)
    (before,) = denoise(checkpoint, [question(first)])
    (other,) = denoise(checkpoint, [question(second)])
    (again,) = denoise(checkpoint, [question(first)])
    assert torch.equal(before, again)
    assert not torch.equal(before, other)


def test_other_weights_project_the_same_texts_anew(checkpoint):
    asked = guidance(5)
    (before,) = denoise(checkpoint, [question(asked)])
    path, projection = next(
        (path, module)
        for path, module in checkpoint.unet.named_modules()
        if isinstance(module, TextProjection)
    )
    adapted = with_tensors(checkpoint.unet, {f"{path}.weight": -projection.weight})
    (other,) = denoise(replace(checkpoint, unet=adapted), [question(asked)])
    assert not torch.equal(before, other)
    assert torch.equal(denoise(checkpoint, [question(asked)])[0], before)


def test_a_crew_has_one_tensor_as_long_as_it_is_the_same():
    texts, one, other = CrewTexts(), guidance(6), guidance(7, tokens=154)
    first = texts.of([one, other], torch.float32)
    assert first.shape == (4, 154, 64)
    assert texts.of([one, other], torch.float32) is first
    assert texts.of([other, one], torch.float32) is not first
    assert texts.of([one, other], torch.float16).dtype == torch.float16


def test_crews_of_long_ago_are_forgotten():
    texts, one = CrewTexts(), guidance(8)
    first = texts.of([one], torch.float32)
    for seed in range(CREWS_KEPT):
        texts.of([guidance(seed)], torch.float32)
    assert texts.of([one], torch.float32) is not first
