"""Denoisers whose weights are stored in float8 take less memory and draw nearly the same; text encoders are evicted first."""

import pytest
import torch

from gpu_runner.models.memory_budget import CacheEntry, MemoryCache
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation.warm_up import buckets
from gpu_runner.networks.flow import transformer
from gpu_runner.networks.module_copies import moved, with_tensors
from tests.support.flow_models import write_sd3


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The same file, stored as it is and in float8."""
    root = tmp_path_factory.mktemp("models")
    file = write_sd3(root)
    return [
        ModelStore(root, "cpu", torch.float32, 2**30, float8=float8).checkpoint(file)
        for float8 in (False, True)
    ]


@pytest.mark.slow
def test_float8_weights_predict_nearly_the_same(checkpoints):
    torch.manual_seed(0)
    batch = next(buckets(checkpoints[0], side=64))
    full, stored = (transformer.denoise(checkpoint, batch)[0] for checkpoint in checkpoints)
    assert stored.dtype == torch.float32
    assert 0 < (full - stored).norm() / full.norm() < 0.05


@pytest.mark.slow
def test_float8_weights_take_a_quarter_of_float32(checkpoints):
    full, stored = checkpoints
    stored_bytes = sum(
        tensor.numel() * tensor.element_size()
        for tensor in stored.unet.parameters()
        if tensor.dtype == torch.float8_e4m3fn
    )
    assert full.size_bytes - stored.size_bytes == 3 * stored_bytes > 0
    assert stored.dtype == torch.float32


@pytest.mark.slow
def test_variant_of_float8_weights_computes_with_its_own(checkpoints):
    _full, stored = checkpoints
    name = next(
        name for name, tensor in stored.unet.named_parameters() if tensor.dtype == torch.float8_e4m3fn
    )
    variant = with_tensors(
        stored.unet, {name: torch.ones_like(stored.unet.get_parameter(name), dtype=torch.float32)}
    )
    layer = name.rpartition(".")[0]
    x = torch.ones(1, stored.unet.get_submodule(layer).in_features)
    assert variant.get_submodule(layer)(x)[0, 0] - variant.get_submodule(layer).bias[0] == pytest.approx(
        x.numel()
    )
    assert moved(variant, torch.device("cpu")).get_submodule(layer)(x).dtype == torch.float32


def test_text_encoders_are_evicted_before_denoisers_used_longer_ago():
    cache = MemoryCache(100)
    cache.put("denoiser", CacheEntry("denoiser", 50))
    cache.put("text encoder", CacheEntry("text encoder", 40, evict_first=True))
    with cache.reserve(30):
        assert cache.find("text encoder") is None
        assert cache.find("denoiser") is not None
