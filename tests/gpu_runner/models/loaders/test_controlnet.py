"""Loading of ControlNet files in the LDM and the diffusers layout, as safetensors and as pickles."""

import pytest
import torch

from gpu_runner.models.store import ModelStore
from gpu_runner.protocol.errors import ModelUnavailable
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net():
    return random_controlnet(1)


@pytest.fixture
def store(tiny_checkpoint):
    return ModelStore(tiny_checkpoint[0], "cpu", torch.float32, 2**34)


@pytest.fixture
def root(tiny_checkpoint):
    return tiny_checkpoint[0]


def layouts(net):
    return {"ldm": ldm_tensors(net), "bare": {
        name.removeprefix("control_model."): tensor for name, tensor in ldm_tensors(net).items()
    }, "diffusers": net.state_dict()}  # fmt: skip


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("layout", ["ldm", "bare", "diffusers"])
def test_every_layout_and_format_gives_the_same_weights(store, root, net, layout, suffix) -> None:
    file = write_tensors(root, f"controlnet/{layout}.{suffix}", layouts(net)[layout])
    loaded = store.controlnet(file)
    state = loaded.net.state_dict()
    state |= {f"controlnet_cond_embedding.{k}": v for k, v in loaded.embedding.state_dict().items()}
    expected = net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name].float()) for name in expected)


def test_controlnet_and_checkpoint_are_cached_together(store, root, net, tiny_checkpoint) -> None:
    file = write_tensors(root, "controlnet/cached.safetensors", ldm_tensors(net))
    checkpoint, loaded = store.get(tiny_checkpoint[1]), store.controlnet(file)
    assert store.controlnet(file) is loaded
    assert store.get(tiny_checkpoint[1]) is checkpoint
    assert {model.path for model in store.loaded()} == {file.path, tiny_checkpoint[1].path}


def test_files_of_another_kind_are_rejected(store, root, net, tiny_checkpoint) -> None:
    file = write_tensors(root, "controlnet/net.safetensors", ldm_tensors(net))
    with pytest.raises(ModelUnavailable, match="not a ControlNet"):
        store.controlnet(tiny_checkpoint[1])
    with pytest.raises(ModelUnavailable, match="not a checkpoint"):
        store.get(file)


def test_a_missing_tensor_is_named(store, root, net) -> None:
    tensors = ldm_tensors(net)
    del tensors["control_model.zero_convs.2.0.bias"]
    file = write_tensors(root, "controlnet/incomplete.safetensors", tensors)
    with pytest.raises(ModelUnavailable, match=r"zero_convs\.2\.0\.bias"):
        store.controlnet(file)


def test_a_union_controlnet_is_rejected(store, root, net) -> None:
    tensors = net.state_dict() | {"task_embedding": torch.zeros(6, 32)}
    file = write_tensors(root, "controlnet/union.safetensors", tensors)
    with pytest.raises(ModelUnavailable, match="union"):
        store.controlnet(file)


def test_a_shuffle_controlnet_pools_its_residuals(store, root, net) -> None:
    """Recognized by the file name: the released file does not contain its configuration."""
    file = write_tensors(root, "controlnet/control_v11e_sd15_shuffle.pth", ldm_tensors(net))
    assert store.controlnet(file).pools
