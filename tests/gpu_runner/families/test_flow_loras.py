"""LoRAs of flow-matching families change the transformer as the trainer that wrote them meant."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from tests.support.flow_models import write_sd3
from tests.support.transformer_files import tiny


def lora_file(root, name, matrices, prefix, seed=0):
    """Rank 2 for each matrix. Returns the file and the changes by module."""
    generator = torch.Generator().manual_seed(seed)
    tensors, changes = {}, {}
    for module, (outputs, inputs) in matrices.items():
        down, up = torch.randn(2, inputs, generator=generator), torch.randn(outputs, 2, generator=generator)
        tensors |= {f"{prefix}{module}.lora_A.weight": down, f"{prefix}{module}.lora_B.weight": up}
        changes[module] = up @ down
    path = root / f"{name}.safetensors"
    save_file(tensors, path)
    return ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()), changes


def matrices(state):
    return {
        name.removesuffix(".weight"): tuple(tensor.shape)
        for name, tensor in state.items()
        if tensor.ndim == 2 and name.endswith(".weight")
    }


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_weights_are_those_of_the_changed_file(tmp_path, layout):
    """Fused projections and swapped halves: the change in the file's names, converted, is the change of the weights."""
    state = tiny("sd3").state_dict()
    file_state = state if layout == "diffusers" else original_layout("sd3", state)
    prefix = "transformer." if layout == "diffusers" else "diffusion_model."
    lora, changes = lora_file(tmp_path, "lora", matrices(file_state), prefix)
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    checkpoint = write_sd3(tmp_path)
    changed = store.get(checkpoint, Variant(loras=(LoraFile(lora, 0.5, 0.0),)))
    merged = changed.unet.state_dict()
    after = merged if layout == "diffusers" else original_layout("sd3", merged)
    for module, change in changes.items():
        expected = file_state[f"{module}.weight"] + 0.5 * change
        assert torch.allclose(after[f"{module}.weight"], expected, atol=1e-5), module
    assert torch.equal(store.get(checkpoint).unet.state_dict()["proj_out.weight"], state["proj_out.weight"])


def test_a_lora_of_another_family_or_size_is_refused(tmp_path):
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    checkpoint = write_sd3(tmp_path)
    other, _ = lora_file(tmp_path, "other", matrices(tiny("z_image").state_dict()), "diffusion_model.")
    with pytest.raises(ModelUnavailable, match="does not fit this checkpoint"):
        store.get(checkpoint, Variant(loras=(LoraFile(other, 1.0, 1.0),)))
    wider = {"joint_blocks.0.x_block.attn.qkv": (192, 64)}
    large, _ = lora_file(tmp_path, "large", wider, "diffusion_model.")
    with pytest.raises(ModelUnavailable, match="does not fit"):
        store.get(checkpoint, Variant(loras=(LoraFile(large, 1.0, 1.0),)))
