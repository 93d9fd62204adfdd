"""Preprocessor modules with a network, loaded from small random files in the layouts of the released ones."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from gpu_runner.controlnet.preprocessors import hed, network_registry
from gpu_runner.controlnet.preprocessors.lineart import Generator
from gpu_runner.models.files import open_tensors
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.safetensors_models import identify

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(1).integers(0, 255, (50, 70, 3), dtype=np.uint8)


def tiny_depth():
    backbone = Dinov2Config(
        hidden_size=64, num_hidden_layers=4, num_attention_heads=1, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
    )  # fmt: skip
    network = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=64,
            neck_hidden_sizes=[8, 16, 16, 16],
            fusion_hidden_size=8,
            head_hidden_size=4,
        )
    )
    for part in (network.head.conv2, network.head.conv3):  # random weights may give a constant map
        part.weight.data.abs_()
        part.bias.data.fill_(0.1)
    return network


CASES = {
    "depth_anything": tiny_depth,
    "depth_anything_v2": tiny_depth,
    "hed": lambda: hed.Hed([(3, 4, 4), (4, 8, 8), (8, 8, 8, 8), (8, 8, 8, 8), (8, 8, 8, 8)]),
    "lineart": lambda: Generator(8),
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def written(network, path):
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", CASES)
def test_a_file_is_identified_loaded_and_computes_its_map(name, suffix, tmp_path):
    network = CASES[name]().eval()
    with open_tensors(written(network, tmp_path / f"x.{suffix}"), "x") as file:
        assert identify(file.shapes, file.metadata).kind == "preprocessor"
        loaded = network_registry.load(name, file, "x")
    assert all(torch.equal(tensor, network.state_dict()[key]) for key, tensor in loaded.state_dict().items())
    settings = MODULES[name].settings(64, None, None)
    map_ = network_registry.detect(MODULES[name], loaded, PIXELS, settings)
    assert map_.shape == (64, 90, 3)
    assert map_.max() > map_.min()


def test_hed_maps_follow_its_filters():
    network = hed.Hed([(3, 1, 1), (1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)])
    for parameter in network.parameters():
        parameter.requires_grad_(False).zero_()
    across = torch.tensor([-1.0, 0.0, 1.0]).expand(1, 3, 3, 3) / 100
    network.block1.convs[0].weight.data.copy_(across)
    network.block1.convs[1].weight.data[0, 0, 1, 1] = 1
    network.block1.projection.weight.data.fill_(40)
    for number in range(1, 6):
        getattr(network, f"block{number}").projection.bias.data.fill_(-6)
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 38:] = 255
    pixels[:, 26:38] = np.linspace(0, 255, 12)[:, None]  # soft, like edges in photos
    edges = hed.detect(network, pixels)[:, :, 0]
    assert edges[32, 30:34].max() > 200
    assert edges[32, :22].max() < 20
    lines = hed.detect_scribble(network, pixels)[:, :, 0]
    assert lines[32, 31] == 255
    assert lines[32, 5] == 0
    assert len(np.unique(hed.detect_safe(network, pixels))) <= 3


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_another_network_is_rejected(name, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"something.else": torch.zeros(2)}, path)
    with open_tensors(path, "x") as file, pytest.raises(ModelUnavailable, match=name):
        network_registry.load(name, file, "x")
