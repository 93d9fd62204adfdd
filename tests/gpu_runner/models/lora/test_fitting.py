"""The check of shapes that admission makes, against the engine's merge: both take the same LoRAs."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.fitting import architecture_of, misfit
from gpu_runner.protocol.model_detection.safetensors_models import read_safetensors_header
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.lora_files import LINEAR, noise

pytestmark = pytest.mark.slow

FF = "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj"  # 64 -> 512
R = 2


def low_rank(o, i):
    return {"lora_down.weight": noise(R, i), "lora_up.weight": noise(o, R)}


# Tensors of a module with ``o`` outputs and ``i`` inputs, for each kind of adapter.
ADAPTERS = {
    "LoRA": low_rank,
    "LoCon with a core": lambda o, i: {
        "lora_down.weight": noise(R, i, 1, 1),
        "lora_up.weight": noise(o, R, 1, 1),
        "lora_mid.weight": noise(R, R, 1, 1),
    },
    "LoHa": lambda o, i: {
        f"hada_w{n}_{part}": noise(*size) for n in (1, 2) for part, size in (("a", (o, R)), ("b", (R, i)))
    },
    "LoKr": lambda o, i: {
        "lokr_w1": noise(2, 2),
        "lokr_w2_a": noise(o // 2, R),
        "lokr_w2_b": noise(R, i // 2),
    },
    "full": lambda o, i: {"diff": noise(o, i), "diff_b": noise(o)},
    "DoRA": lambda o, i: low_rank(o, i) | {"dora_scale": noise(o, 1)},
    "DoRA of inputs": lambda o, i: low_rank(o, i) | {"dora_scale": noise(1, i)},
    "DoRA of PEFT": lambda o, i: low_rank(o, i) | {"lora_magnitude_vector": noise(o)},
    "OFT": lambda o, i: {"oft_blocks": noise(4, o // 4, o // 4)},
    "BOFT": lambda o, i: {"oft_blocks": noise(2, o // 8, 8, 8)},
    "IA3": lambda o, i: {"weight": noise(i), "on_input": torch.tensor(True)},
    "GLoRA": lambda o, i: {
        "a1.weight": noise(i, R),
        "a2.weight": noise(R, i),
        "b1.weight": noise(o, R),
        "b2.weight": noise(R, i),
    },
    "older GLoRA": lambda o, i: {
        "a2.weight": noise(i, R),
        "a1.weight": noise(R, i),
        "b2.weight": noise(o, R),
        "b1.weight": noise(R, i),
    },
}
SIZES = {"right": (512, 64), "wider": (512, 128), "longer": (1024, 64), "turned": (64, 512)}


@pytest.fixture(scope="module")
def store(tiny_checkpoint):
    root, _file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34)


@pytest.fixture(scope="module")
def checkpoint_architecture(tiny_checkpoint):
    root, file = tiny_checkpoint
    return found_in(root / file.path)[1]


def found_in(path):
    shapes, metadata = read_safetensors_header(path)
    found = inspect(shapes, metadata)
    return found, architecture_of(found, shapes, metadata)


@pytest.fixture
def written(tiny_checkpoint):
    root, _file = tiny_checkpoint

    def written(tensors, path=FF):
        name = f"lora_unet_{path.replace('.', '_')}"
        file = root / "new.safetensors"
        save_file({f"{name}.{part}": tensor.contiguous() for part, tensor in tensors.items()}, file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        return file.rename(root / f"{sha256}.safetensors")

    return written


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_lora_is_refused_exactly_if_the_engine_cannot_merge_it(
    kind, store, tiny_checkpoint, checkpoint_architecture, written
):
    for name, size in SIZES.items():
        path = written(ADAPTERS[kind](*size))
        found, architecture = found_in(path)
        assert (found.kind, found.problem) == ("lora", "")
        reason = misfit(architecture, checkpoint_architecture)
        file = LoraFile(ModelFile(path=path.name, sha256=path.stem), 1.0, 1.0)
        try:
            store.get(tiny_checkpoint[1], Variant(loras=(file,)))
            can_be_merged = True
        except ModelUnavailable:
            can_be_merged = False
        assert bool(reason) != can_be_merged, (name, reason)
        assert can_be_merged == (name == "right" or (kind in ALSO and name in ALSO[kind])), name


# One tensor that does not tell both sizes fits more weights.
ALSO = {"OFT": ["wider"], "BOFT": ["wider"], "IA3": ["longer", "turned"]}


def test_the_reason_has_both_shapes(checkpoint_architecture, written):
    reason = misfit(found_in(written(low_rank(64, 96), LINEAR))[1], checkpoint_architecture)
    assert reason == f"{LINEAR.replace('.', '_')} has the shape 64x64 there (got 64x96)"


def test_a_lora_that_changes_no_layer_of_the_checkpoint_is_refused(checkpoint_architecture, written):
    architecture = found_in(written(low_rank(64, 64), FF.replace("down_blocks.1", "down_blocks.3")))[1]
    assert misfit(architecture, checkpoint_architecture) == "it changes none of its layers"


@pytest.mark.parametrize(
    "tensors",
    [
        {"lora_down.weight": noise(4, 64), "lora_up.weight": noise(512, 8)},
        {"lora_down.weight": noise(0, 64), "lora_up.weight": noise(512, 0)},
        {"oft_blocks": noise(4, 128, 64)},
        {"oft_blocks": noise(128)},
        {
            "hada_w1_a": noise(8, 2),
            "hada_w1_b": noise(2, 8),
            "hada_w2_a": noise(8, 2),
            "hada_w2_b": noise(2, 4),
        },
    ],
    ids=["two ranks", "rank 0", "blocks that are not square", "one dimension", "two products"],
)
def test_tensors_that_do_not_fit_each_other_are_a_problem_of_the_file(written, tensors):
    assert "do not fit each other" in found_in(written(tensors))[0].problem
