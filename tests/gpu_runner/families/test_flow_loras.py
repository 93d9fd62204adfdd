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
from tests.support.flow_models import write_flux1, write_flux2, write_sd3
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


@pytest.mark.parametrize(
    ("family", "write"),
    [
        ("sd3", write_sd3),
        ("flux1", lambda root: write_flux1(root)[0]),
        ("flux2", lambda root: write_flux2(root)[0]),
    ],
    ids=["sd3", "flux1", "flux2"],
)
@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_weights_are_those_of_the_changed_file(tmp_path, layout, family, write):
    """Fused projections and swapped halves: the change in the file's names, converted, is the change of the weights."""
    state = tiny(family).state_dict()
    file_state = state if layout == "diffusers" else original_layout(family, state)
    prefix = "transformer." if layout == "diffusers" else "diffusion_model."
    lora, changes = lora_file(tmp_path, "lora", matrices(file_state), prefix)
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    checkpoint = write(tmp_path)
    changed = store.get(checkpoint, Variant(loras=(LoraFile(lora, 0.5, 0.0),)))
    merged = changed.unet.state_dict()
    after = merged if layout == "diffusers" else original_layout(family, merged)
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


def test_kohya_s_lora_of_flux_changes_the_transformer_and_clip(tmp_path):
    """Names with underscores, and the text encoder inside the checkpoint."""
    checkpoint = write_flux1(tmp_path)[0]
    modules = {
        "unet_double_blocks_0_img_attn_qkv": (96, 32),
        "te1_text_model_encoder_layers_0_mlp_fc1": (0, 0),
    }
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**30)
    base = store.get(checkpoint)
    clip = next(
        tensor
        for name, tensor in base.text_encoder.state_dict().items()
        if name.endswith("layers.0.mlp.fc1.weight")
    )
    modules["te1_text_model_encoder_layers_0_mlp_fc1"] = tuple(clip.shape)
    lora, changes = lora_file(tmp_path, "kohya", modules, "lora_")
    changed = store.get(checkpoint, Variant(loras=(LoraFile(lora, 1.0, 0.5),)))
    queries = (
        changed.unet.transformer_blocks[0].attn.to_q.weight - base.unet.transformer_blocks[0].attn.to_q.weight
    )
    assert torch.allclose(queries, changes["unet_double_blocks_0_img_attn_qkv"][:32], atol=1e-5)
    after = next(
        tensor
        for name, tensor in changed.text_encoder.state_dict().items()
        if name.endswith("layers.0.mlp.fc1.weight")
    )
    assert torch.allclose(after - clip, 0.5 * changes["te1_text_model_encoder_layers_0_mlp_fc1"], atol=1e-5)
    assert changed.text_encoder_2 is base.text_encoder_2
    assert changed.text_key != base.text_key
