import copy
import inspect

import pytest
import torch
from diffusers.models.attention_processor import Attention

from gpu_runner.models import ModelStore
from gpu_runner.plain_attention import PlainAttention


@pytest.fixture(scope="module")
def unet(tiny_checkpoint):
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34).get(file).unet


def answer(unet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 77, 64, generator=generator)
    with torch.inference_mode():
        return unet(x, torch.tensor(500.0), text, return_dict=False)[0]


def test_it_answers_as_diffusers_own(unet):
    plain = copy.deepcopy(unet)
    for module in plain.modules():
        if isinstance(module, PlainAttention):
            module.__class__ = Attention
    assert torch.equal(answer(unet), answer(plain))


def test_no_call_asks_for_a_signature(unet, monkeypatch):
    monkeypatch.setattr(inspect, "signature", lambda _asked: pytest.fail("it asked"))
    answer(unet)
    assert any(isinstance(module, PlainAttention) for module in unet.modules())
