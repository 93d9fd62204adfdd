"""Weights of each kind of adapter, compared with its published formula, written here in the plainest way."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from gpu_runner.models.lora.deltas import weight_delta
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import ModelFile
from tests.support.lora_files import CONV, LINEAR, TEXT, factors, kohya, noise

pytestmark = pytest.mark.slow

FF = LINEAR.replace("attn2.to_k", "ff.net.0.proj")  # 64 -> 512: not square
NORM = "down_blocks.1.resnets.0.norm1"


@pytest.fixture(scope="module")
def store(tiny_checkpoint):
    root, _file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34)


@pytest.fixture(scope="module")
def base(store, tiny_checkpoint):
    return store.get(tiny_checkpoint[1])


@pytest.fixture
def merged(store, tiny_checkpoint):
    """``merged(tensors, weight)``: the checkpoint with an adapter of these tensors."""

    def merged(tensors, weight=1.0, start="lora_unet_"):
        root, checkpoint = tiny_checkpoint
        (root / "loras").mkdir(exist_ok=True)
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, root / "new")
        sha256 = hashlib.sha256((root / "new").read_bytes()).hexdigest()
        path = f"loras/{sha256}.safetensors"
        (root / "new").rename(root / path)
        file = LoraFile(ModelFile(path=path, sha256=sha256), weight, weight)
        return store.get(checkpoint, Variant(loras=(file,)))

    return merged


def named(path, **tensors):
    return {f"lora_unet_{path.replace('.', '_')}.{part}": tensor for part, tensor in tensors.items()}


def weight(checkpoint, path):
    return checkpoint.unet.get_submodule(path).weight


def same(actual, expected):
    return torch.allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("path", [LINEAR, FF, CONV])
@pytest.mark.parametrize("of_outputs", [True, False])
def test_dora_rescales_the_changed_weight_to_its_magnitudes(merged, base, path, of_outputs):
    old = weight(base, path)
    down, up = factors(base.unet.get_submodule(path))
    changed = old + torch.einsum("or,ri...->oi...", up.flatten(1), down) * 3.0 / 2
    axis, others = (0, (1, 2, 3)) if of_outputs else (1, (0, 2, 3))
    norm = torch.linalg.vector_norm(changed, dim=others[: old.ndim - 1], keepdim=True)
    magnitude = norm.new_full(norm.shape, 1.5) + noise(*norm.shape, seed=3)
    magnitude = magnitude if axis == 0 else magnitude.reshape(norm.shape)
    tensors = named(path, **{"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(3.0)})
    drawn = merged(tensors | named(path, dora_scale=magnitude), 0.5)
    assert same(weight(drawn, path), old + 0.5 * (magnitude * changed / norm - old))


def test_dora_of_peft_has_one_magnitude_per_output(merged, base):
    old = weight(base, CONV)
    down, up = factors(base.unet.get_submodule(CONV))
    magnitude = 1 + noise(1, old.shape[0], 1, 1, seed=4)
    start = f"base_model.model.{CONV}"
    names = {"lora_A.weight": down, "lora_B.weight": up, "lora_magnitude_vector": magnitude}
    drawn = merged({f"{start}.{name}": tensor for name, tensor in names.items()})
    changed = old + torch.einsum("or,ri...->oi...", up.flatten(1), down)
    norm = changed.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    assert same(weight(drawn, CONV), magnitude.reshape(-1, 1, 1, 1) * changed / norm)


def test_dora_with_the_magnitudes_of_the_weight_and_no_change_is_the_checkpoint(merged, base):
    old = weight(base, FF)
    down, up = factors(base.unet.get_submodule(FF))
    tensors = named(FF, **{"lora_down.weight": down, "lora_up.weight": up * 0})
    tensors |= named(FF, dora_scale=old.norm(dim=0, keepdim=True))
    assert same(weight(merged(tensors), FF), old)


def rotation(block, limit=None, norm=None):
    skew = block - block.T
    if limit is not None:
        skew = skew * min(1.0, limit / norm)
    eye = torch.eye(len(block))
    return (eye + skew) @ torch.linalg.inv(eye - skew)


@pytest.mark.parametrize("path", [LINEAR, CONV])
@pytest.mark.parametrize("alpha", [None, 1e-3, 100.0])
def test_oft_rotates_blocks_of_outputs(merged, base, path, alpha):
    old = weight(base, path)
    blocks = noise(4, old.shape[0] // 4, old.shape[0] // 4, seed=5)
    norm = (blocks - blocks.transpose(1, 2)).norm()
    limit = None if alpha is None else alpha * old.shape[0]
    matrix = torch.block_diag(*(rotation(block, limit, norm) for block in blocks))
    tensors = named(path, oft_blocks=blocks) | (
        {} if alpha is None else named(path, alpha=torch.tensor(alpha))
    )
    drawn = weight(merged(tensors, 0.5), path)
    assert same(drawn, old + 0.5 * (torch.einsum("nm,n...->m...", matrix, old) - old))


def test_the_first_oft_of_lycoris_has_the_matrices_themselves(merged, base):
    old = weight(base, LINEAR)
    blocks = torch.eye(16) + noise(4, 16, 16, seed=6)
    scale = 1 + noise(64, 1, seed=7)
    tensors = {
        f"lycoris_{LINEAR.replace('.', '_')}.{n}": t
        for n, t in {"oft_diag": blocks, "rescale": scale}.items()
    }
    assert same(weight(merged(tensors), LINEAR), scale * (torch.block_diag(*blocks).T @ old))


def test_boft_is_a_product_of_permuted_block_rotations(merged, base):
    old = weight(base, LINEAR)
    blocks = noise(3, 8, 8, 8, seed=8)
    product = old
    for level in range(3):
        half = 2**level * 4
        order = torch.arange(64).reshape(-1, 2, half).transpose(1, 2).flatten()
        shuffle = torch.eye(64)[order]
        matrix = torch.block_diag(*(rotation(block) for block in blocks[level]))
        product = shuffle.T @ matrix @ shuffle @ product
    assert same(weight(merged(named(LINEAR, oft_blocks=blocks)), LINEAR), product)


@pytest.mark.parametrize("path", [FF, CONV])
@pytest.mark.parametrize("on_input", [True, False])
def test_ia3_scales_inputs_or_outputs(merged, base, path, on_input):
    old = weight(base, path)
    factor = noise(old.shape[1] if on_input else old.shape[0], seed=9)
    drawn = merged(named(path, weight=factor, on_input=torch.tensor(on_input)), 0.5)
    ones = [1] * (old.ndim - 2)
    factor = factor.reshape(1, -1, *ones) if on_input else factor.reshape(-1, 1, *ones)
    assert same(weight(drawn, path), old * (1 + 0.5 * factor))


def test_glora_adds_a_product_with_the_weight(merged, base):
    old = weight(base, FF)
    outputs, inputs = old.shape
    a2, a1, b2, b1 = noise(inputs, 2), noise(2, inputs, seed=1), noise(outputs, 2, seed=2), noise(2, inputs)
    first = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": torch.tensor(1.0)}
    assert same(weight(merged(named(FF, **first)), FF), old + old @ a2 @ a1 + b2 @ b1), "as A1111"
    now = {"a1.weight": a2, "a2.weight": a1, "b1.weight": b2, "b2.weight": b1, "alpha": torch.tensor(1.0)}
    assert same(weight(merged(named(FF, **now)), FF), old + (old @ a2 @ a1 + b2 @ b1) / 2), "as LyCORIS"


def test_norm_layers_and_biases_are_changed(merged, base):
    old = base.unet.get_submodule(NORM)
    w, b = noise(len(old.weight), seed=10), noise(len(old.bias), seed=11)
    new = merged(named(NORM, w_norm=w, b_norm=b), 0.5).unet.get_submodule(NORM)
    assert same(new.weight, old.weight + 0.5 * w)
    assert same(new.bias, old.bias + 0.5 * b)
    new = merged(named(NORM, diff=w, diff_b=b), 0.5).unet.get_submodule(NORM)
    assert same(new.weight, old.weight + 0.5 * w)
    assert same(new.bias, old.bias + 0.5 * b)


def test_a_full_difference_can_add_a_bias_that_the_layer_does_not_have(merged, base):
    old = base.unet.get_submodule(LINEAR)
    assert old.bias is None
    diff, bias = noise(*old.weight.shape, seed=12), noise(64, seed=13)
    new = merged(named(LINEAR, diff=diff, diff_b=bias), 0.5).unet.get_submodule(LINEAR)
    assert same(new.weight, old.weight + 0.5 * diff)
    assert same(new.bias, 0.5 * bias)
    assert base.unet.get_submodule(LINEAR).bias is None


def test_the_first_layer_of_an_inpainting_unet_takes_a_lora_of_four_channels():
    delta = noise(8, 4, 3, 3)
    padded = weight_delta({"diff": delta}, torch.zeros(8, 9, 3, 3))
    assert torch.equal(padded[:, :4], delta)
    assert not padded[:, 4:].any()


def test_a_scale_in_the_file_takes_the_place_of_alpha(merged, base, tiny_modules):
    tensors = kohya(tiny_modules, (LINEAR,)) | named(LINEAR, scale=torch.tensor(0.25))
    down, up = factors(tiny_modules.unet.get_submodule(LINEAR))
    assert same(weight(merged(tensors), LINEAR) - weight(base, LINEAR), up @ down / 4)


def test_the_order_of_adapters_does_not_matter(store, tiny_checkpoint, merged, base, tiny_modules):
    """A1111 applies them one after the other, so that there the result depends on the order of the prompt."""
    turned = merged(named(LINEAR, oft_blocks=noise(4, 16, 16, seed=5)))
    added = merged(kohya(tiny_modules))
    both = weight(turned, LINEAR) + weight(added, LINEAR) - weight(base, LINEAR)
    root, checkpoint = tiny_checkpoint
    files = sorted((root / "loras").iterdir(), key=lambda path: path.stat().st_mtime_ns)[-2:]
    for pair in (files, files[::-1]):
        uses = tuple(
            LoraFile(ModelFile(path=f"loras/{path.name}", sha256=path.stem), 1.0, 1.0) for path in pair
        )
        assert same(weight(store.get(checkpoint, Variant(loras=uses)), LINEAR), both)


def test_text_encoder_layers_of_every_kind_are_changed(merged, base):
    path = next(path for path, _ in base.text_encoder.named_modules() if path.endswith(TEXT))
    old = base.text_encoder.get_submodule(path).weight
    factor = noise(old.shape[1], seed=14)
    start = f"lora_te_text_model_{TEXT.replace('.', '_')}"
    drawn = merged({f"{start}.weight": factor, f"{start}.on_input": torch.tensor(True)})
    assert same(drawn.text_encoder.get_submodule(path).weight, old * (1 + factor))
