"""A UNet without its text encoder, as in GGUF files, is used with a CLIP and a VAE in files of their own."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from demo.architectures import demo_model as architecture
from gpu_runner.models.conversion.ldm_keys import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import Variant
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.storage.gguf_header import read_gguf_header
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.flow_models import written
from tests.support.gguf_files import write_gguf
from tests.support.tiny_models import OVERRIDES, TinyModules, random_modules, single_file_tensors

CLIP_WIDTH = 768  # that of SD 1.x, by which a UNet alone is told from others


@pytest.fixture(scope="module")
def tensors():
    modules = random_modules(0, cross_attention_dim=CLIP_WIDTH)
    config = architecture.TEXT_ENCODER_CONFIG | {"hidden_size": CLIP_WIDTH, "projection_dim": CLIP_WIDTH}
    encoder = CLIPTextModel(CLIPTextConfig(**config)).half().eval()
    return single_file_tensors(TinyModules(modules.unet, modules.vae, encoder))


def below(tensors, prefix, new=""):
    return {
        new + name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }


def test_unet_with_separate_parts_equals_the_whole_checkpoint(tmp_path, tensors):
    whole = written(tmp_path, "whole", tensors, **OVERRIDES)
    alone = written(tmp_path, "unet", below(tensors, UNET_PREFIX, UNET_PREFIX), unet=OVERRIDES["unet"])
    parts = Variant(
        vae=written(tmp_path, "vae", below(tensors, VAE_PREFIX), vae=OVERRIDES["vae"]),
        text_encoders=(
            written(tmp_path, "clip", below(tensors, CLIP_PREFIX), text_encoder=OVERRIDES["text_encoder"]),
        ),
    )
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    expected, joined = store.get(whole), store.get(alone, parts)
    texts = [encode(checkpoint, ["a red circle"])[0].context for checkpoint in (expected, joined)]
    assert torch.equal(*texts)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = [
        checkpoint.unet(x, 500, encoder_hidden_states=text[None]).sample
        for checkpoint, text in zip((expected, joined), texts, strict=True)
    ]
    assert torch.equal(*outputs)
    assert joined.has_vae
    assert not store.get(alone).has_text_encoder
    assert store.get(whole, Variant(text_encoders=parts.text_encoders)).text_encoder is expected.text_encoder


def test_unet_of_a_gguf_file_can_be_used(tmp_path, tensors):
    config = {"atelier.config": json.dumps({"unet": OVERRIDES["unet"]})}
    header = read_gguf_header(write_gguf(tmp_path / "unet.gguf", below(tensors, UNET_PREFIX), config)).header
    found = inspect(header.shapes, header.metadata)
    assert (found.kind, found.family, found.problem) == ("checkpoint", "sd15", "")
    assert found.detail["without_text"]
    assert not found.detail["has_vae"]


@pytest.mark.parametrize("prefix", [UNET_PREFIX, ""], ids=["with the prefix", "without a prefix"])
def test_unet_of_a_gguf_file_predicts_as_the_original_within_the_quantization_error(
    tmp_path, tensors, prefix
):
    whole = written(tmp_path, "whole", tensors, **OVERRIDES)
    config = {"atelier.config": json.dumps({"unet": OVERRIDES["unet"]})}
    path = write_gguf(tmp_path / "unet.gguf", below(tensors, UNET_PREFIX, prefix), config)
    alone = ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    parts = Variant(
        vae=written(tmp_path, "vae", below(tensors, VAE_PREFIX), vae=OVERRIDES["vae"]),
        text_encoders=(
            written(tmp_path, "clip", below(tensors, CLIP_PREFIX), text_encoder=OVERRIDES["text_encoder"]),
        ),
    )
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected, found = (
        checkpoint.unet(
            x, 500, encoder_hidden_states=encode(checkpoint, ["a red circle"])[0].context[None]
        ).sample
        for checkpoint in (store.get(whole), store.get(alone, parts))
    )
    assert 0 < (found - expected).norm() / expected.norm() < 0.05


def test_parts_of_another_family_do_not_fit(tmp_path, tensors):
    alone = written(tmp_path, "unet", below(tensors, UNET_PREFIX, UNET_PREFIX), unet=OVERRIDES["unet"])
    t5 = {
        "encoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(8, 16),
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight": torch.zeros(8, 16),
    }
    save_file(t5, tmp_path / "t5.safetensors")
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    with pytest.raises(ModelUnavailable, match="cannot be used"):
        store.get(alone, Variant(text_encoders=(written(tmp_path, "t5", t5),)))
