"""Merging of LoRAs in every supported layout. The checkpoint itself is never modified."""

import hashlib
import random

import pytest
import torch
from safetensors.torch import save_file

from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from tests.support.lora_files import CONV, CROSS_LAYER, LINEAR, TEXT, factors, kohya, noise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tiny_checkpoint):
    root, _file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34)


@pytest.fixture(scope="module")
def base(store, tiny_checkpoint):
    return store.get(tiny_checkpoint[1])


@pytest.fixture
def file_of(tiny_checkpoint):
    root, _file = tiny_checkpoint

    def write(tensors, **metadata):
        (root / "loras").mkdir(exist_ok=True)
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        save_file(tensors, root / "loras" / "new", metadata=metadata or None)
        sha256 = hashlib.sha256((root / "loras" / "new").read_bytes()).hexdigest()
        (root / "loras" / "new").rename(root / "loras" / f"{sha256}.safetensors")
        return ModelFile(path=f"loras/{sha256}.safetensors", sha256=sha256)

    return write


@pytest.fixture
def with_loras(store, tiny_checkpoint, file_of):
    """The checkpoint with LoRAs of (tensors, weight) or (tensors, unet weight, text encoder weight)."""

    def variant(*loras):
        uses = tuple(LoraFile(file_of(tensors), *(weights * 2)[:2]) for tensors, *weights in loras)
        return store.get(tiny_checkpoint[1], Variant(loras=uses))

    return variant


def weight(checkpoint, path, part="unet"):
    return getattr(checkpoint, part).get_submodule(path).weight


def change(checkpoint, base, path, part="unet"):
    return weight(checkpoint, path, part) - weight(base, path, part)


def shas(checkpoint):
    return {
        f"{part}.{name}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
        for part, module in checkpoint.modules().items()
        for name, tensor in module.state_dict().items()
    }


def test_a_lora_adds_the_product_of_its_factors(with_loras, base, tiny_modules):
    variant = with_loras((kohya(tiny_modules, alpha=1.0), 0.5))
    down, up = factors(tiny_modules.unet.get_submodule(LINEAR))
    assert torch.allclose(change(variant, base, LINEAR), 0.5 * (up @ down) / 2, atol=1e-6)


def test_unchanged_tensors_share_the_memory_of_the_checkpoint(with_loras, base, tiny_modules):
    variant = with_loras((kohya(tiny_modules), 1.0))
    others = {
        name: tensor for name, tensor in variant.unet.state_dict().items() if not name.startswith(LINEAR)
    }
    own = base.unet.state_dict()
    assert all(tensor.data_ptr() == own[name].data_ptr() for name, tensor in others.items())
    assert variant.vae is base.vae
    assert variant.text_encoder is base.text_encoder


def lora_tensors(module, layout, path):
    """The tensors of one LoRA under the names that different training tools use."""
    down, up = factors(module)
    flat = path.replace(".", "_")
    match layout:
        case "kohya":
            return {f"lora_unet_{flat}.lora_down.weight": down, f"lora_unet_{flat}.lora_up.weight": up}
        case "ldm":
            ldm = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_out_0"
            return {f"{ldm}.lora_down.weight": down, f"{ldm}.lora_up.weight": up}
        case "peft":
            return {f"unet.{path}.lora_A.weight": down, f"unet.{path}.lora_B.weight": up}
        case "peft adapter":
            start = f"base_model.model.{path}"
            return {f"{start}.lora_A.default.weight": down, f"{start}.lora_B.default.weight": up}
        case "processor":
            start = f"unet.{path.replace('.to_out.0', '.processor.to_out')}"
            return {f"{start}_lora.down.weight": down, f"{start}_lora.up.weight": up}
        case "diffusers":
            return {f"unet.{path}.lora.down.weight": down, f"unet.{path}.lora.up.weight": up}
        case "diffusers linear layer":
            start = f"unet.{path}.lora_linear_layer"
            return {f"{start}.down.weight": down, f"{start}.up.weight": up}
        case "without prefix":
            return {f"{path}.lora_A.weight": down, f"{path}.lora_B.weight": up}
        case "processor without prefix":
            start = path.replace(".to_out.0", ".processor.to_out")
            return {f"{start}_lora.down.weight": down, f"{start}_lora.up.weight": up}
        case "lycoris":
            return {f"lycoris_{flat}.lora_down.weight": down, f"lycoris_{flat}.lora_up.weight": up}
        case "comfyui":
            start = "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_out.0"
            return {f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up}
        case "checkpoint's names":
            start = "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_out.0"
            return {f"{start}.lora_A.weight": down, f"{start}.lora_B.weight": up}
        case "unheard-of prefix":
            return {f"my_trainer.{path}.lora_down.weight": down, f"my_trainer.{path}.lora_up.weight": up}


LAYOUTS = [
    "kohya",
    "ldm",
    "peft",
    "peft adapter",
    "processor",
    "diffusers",
    "diffusers linear layer",
    "without prefix",
    "processor without prefix",
    "lycoris",
    "comfyui",
    "checkpoint's names",
    "unheard-of prefix",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_weights(with_loras, base, tiny_modules, layout):
    module = tiny_modules.unet.get_submodule(CROSS_LAYER)
    variant = with_loras((lora_tensors(module, layout, CROSS_LAYER), 1.0))
    down, up = factors(module)
    assert torch.allclose(change(variant, base, CROSS_LAYER), up @ down, atol=1e-6)


@pytest.mark.parametrize(
    "start",
    [
        "lora_te_text_model_",
        "lora_te1_text_model_",
        "text_encoder.text_model.",
        "text_model.",
        "clip_l.text_model.",
        "",
    ],
)
def test_the_text_encoder_has_its_own_weight(with_loras, base, tiny_modules, start):
    module = tiny_modules.text_encoder.get_submodule(TEXT)
    down, up = factors(module)
    name = start + (TEXT if start.endswith(".") else TEXT.replace(".", "_"))
    tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    variant = with_loras((tensors | kohya(tiny_modules), 0.0, 0.25))
    path = next(path for path, _ in base.text_encoder.named_modules() if path.endswith(TEXT))
    assert torch.allclose(change(variant, base, path, "text_encoder"), 0.25 * (up @ down), atol=1e-6)
    assert variant.unet is base.unet, "with weight 0 the UNet is that of the checkpoint"


def test_convolutions_are_merged_with_and_without_a_mid_tensor(with_loras, base, tiny_modules):
    module = tiny_modules.unet.get_submodule(CONV)
    down, up = factors(module)
    name = f"lora_unet_{CONV.replace('.', '_')}"
    plain = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    assert torch.allclose(
        change(with_loras((plain, 1.0)), base, CONV),
        torch.einsum("or,rihw->oihw", up[..., 0, 0], down),
        atol=1e-6,
    )
    outer, core = noise(2, module.weight.shape[1], 1, 1, seed=5), noise(2, 2, 3, 3, seed=6)
    middle = {
        f"{name}.lora_down.weight": outer,
        f"{name}.lora_mid.weight": core,
        f"{name}.lora_up.weight": up,
    }
    image = noise(1, module.weight.shape[1], 8, 8, seed=7)
    through = torch.conv2d(torch.conv2d(torch.conv2d(image, outer), core, padding=1), up)
    merged = torch.conv2d(image, change(with_loras((middle, 1.0)), base, CONV), padding=1)
    assert torch.allclose(merged, through, atol=1e-5)


def test_loha_is_a_product_of_two_low_rank_matrices(with_loras, base, tiny_modules):
    out, into = tiny_modules.unet.get_submodule(LINEAR).weight.shape
    name = f"lora_unet_{LINEAR.replace('.', '_')}"
    a, b, c, d = noise(out, 2), noise(2, into, seed=1), noise(out, 2, seed=2), noise(2, into, seed=3)
    parts = {"w1_a": a, "w1_b": b, "w2_a": c, "w2_b": d}
    tensors = {f"{name}.hada_{part}": tensor for part, tensor in parts.items()}
    variant = with_loras((tensors | {f"{name}.alpha": torch.tensor(4.0)}, 1.0))
    assert torch.allclose(change(variant, base, LINEAR), (a @ b) * (c @ d) * 2, atol=1e-6)


def test_lokr_is_a_kronecker_product(with_loras, base, tiny_modules):
    out, into = tiny_modules.unet.get_submodule(LINEAR).weight.shape
    name = f"lora_unet_{LINEAR.replace('.', '_')}"
    small, a, b = noise(4, 4), noise(out // 4, 2, seed=1), noise(2, into // 4, seed=2)
    tensors = {f"{name}.lokr_w1": small, f"{name}.lokr_w2_a": a, f"{name}.lokr_w2_b": b}
    variant = with_loras((tensors | {f"{name}.alpha": torch.tensor(1.0)}, 1.0))
    assert torch.allclose(change(variant, base, LINEAR), torch.kron(small, a @ b) / 2, atol=1e-6)


def test_several_loras_add_up_in_any_order(with_loras, base, tiny_modules):
    one, two = kohya(tiny_modules, seed=1), kohya(tiny_modules, seed=2)
    both, reversed_order = with_loras((one, 0.7), (two, -0.3)), with_loras((two, -0.3), (one, 0.7))
    assert both.unet is reversed_order.unet
    alone = change(with_loras((one, 0.7)), base, LINEAR) + change(with_loras((two, -0.3)), base, LINEAR)
    assert torch.allclose(change(both, base, LINEAR), alone, atol=1e-6)


def test_a_thousand_variants_do_not_modify_the_checkpoint(
    store, tiny_checkpoint, file_of, tiny_modules, base
):
    before = shas(base)
    files = [file_of(kohya(tiny_modules, (LINEAR, CONV), (TEXT,), seed=seed)) for seed in range(3)]
    dice = random.Random(0)
    for _ in range(1000):
        chosen = dice.sample(files, dice.randint(0, 3))
        uses = tuple(LoraFile(file, dice.choice((-1.0, 0.0, 0.5, 1.0)), dice.random()) for file in chosen)
        store.get(tiny_checkpoint[1], Variant(loras=uses))
    assert shas(base) == before
    assert store.get(tiny_checkpoint[1]) is base


def test_modules_that_the_checkpoint_does_not_have_are_skipped(with_loras, base, tiny_modules):
    unmatched = {
        "lora_unet_down_blocks_9_attentions_0_proj_in.lora_down.weight": noise(2, 8),
        "lora_unet_down_blocks_9_attentions_0_proj_in.lora_up.weight": noise(8, 2),
    }
    variant = with_loras((kohya(tiny_modules) | unmatched, 1.0))
    assert change(variant, base, LINEAR).any()
    with pytest.raises(ModelUnavailable, match="matches no layer"):
        with_loras((unmatched, 1.0))


def test_a_lora_of_another_width_is_rejected(with_loras, tiny_modules):
    name = f"lora_unet_{LINEAR.replace('.', '_')}"
    wrong = {f"{name}.lora_down.weight": noise(2, 768), f"{name}.lora_up.weight": noise(320, 2)}
    with pytest.raises(ModelUnavailable, match="does not fit this checkpoint at down_blocks"):
        with_loras((wrong, 1.0))


@pytest.mark.parametrize(
    "factors_of_another_shape",
    [
        {"lora_down": noise(0, 64), "lora_up": noise(64, 0), "alpha": torch.tensor(1.0)},
        {"lora_down": noise(64), "lora_up": noise(64)},
        {"lora_down": torch.tensor(1.0), "lora_up": noise(64, 2), "alpha": torch.tensor(1.0)},
        {"lokr_w1": torch.tensor(1.0), "lokr_w2_a": torch.tensor(1.0), "lokr_w2_b": torch.tensor(1.0)},
        {name: noise(4) for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    ],
)
def test_factors_that_are_not_matrices_are_rejected(with_loras, factors_of_another_shape):
    module = f"lora_unet_{LINEAR.replace('.', '_')}"
    ending = {"lora_down": ".weight", "lora_up": ".weight"}
    wrong = {
        f"{module}.{name}{ending.get(name, '')}": part for name, part in factors_of_another_shape.items()
    }
    with pytest.raises(ModelUnavailable, match="does not fit this checkpoint at down_blocks"):
        with_loras((wrong, 1.0))


def test_a_file_without_a_complete_module_is_rejected(with_loras):
    with pytest.raises(ModelUnavailable, match="is not a LoRA"):
        with_loras(({"lora_unet_a.note": noise(4)}, 1.0))


def test_the_rank_limits_the_ranks_in_use(store, tiny_checkpoint, file_of, base, tiny_modules):
    file = file_of(kohya(tiny_modules, rank=4, alpha=2.0))
    down, up = factors(tiny_modules.unet.get_submodule(LINEAR), rank=4)
    for rank, expected in ((1, up[:, :1] @ down[:1]), (3, up[:, :3] @ down[:3]), (99, up @ down)):
        variant = store.get(tiny_checkpoint[1], Variant(loras=(LoraFile(file, 1.0, 1.0, rank),)))
        assert torch.allclose(change(variant, base, LINEAR), expected * 2 / 4, atol=1e-6), rank
