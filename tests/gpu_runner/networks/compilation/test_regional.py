"""Compiled blocks draw what the same blocks draw without compilation, with LoRAs too, and no step waits for the compiler."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import setuptools  # noqa: F401  # torch needs it to compile, and it cannot be imported after pip, which another test imports
import torch
from torch._dynamo.utils import counters

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation.regional import CompiledBlock, compiled_calls, never_compile_in_steps
from gpu_runner.networks.compilation.warm_up import compile_and_warm_up, denoise_input
from gpu_runner.networks.diffusion import unet
from gpu_runner.networks.flow import transformer
from gpu_runner.networks.module_copies import with_tensors
from gpu_runner.protocol import Done
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint
from tests.support.event_listener import Listener, order_of
from tests.support.flow_models import write_sd3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++"),
]

MODELS = ("SD 1.x", "SD3")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Stores by model: one that compiles, and one that does not, with the file."""
    root = tmp_path_factory.mktemp("models")
    files = {"SD 1.x": (DEMO_MODELS, demo_checkpoint()), "SD3": (root, write_sd3(root))}
    never_compile_in_steps()
    found = {}
    for name, (folder, file) in files.items():
        stores = [
            ModelStore(folder, "cpu", torch.float32, 2**30, on_loaded=on_loaded)
            for on_loaded in (compile_and_warm_up, lambda checkpoint: None)
        ]
        stores[0].checkpoint(file)  # compiling takes longer than a test waits for an image
        found[name] = (*stores, file)
    yield found
    torch.compiler.set_stance("default")


def drawn(store: ModelStore, file) -> np.ndarray:
    engine = Engine(store, torch.device("cpu"))
    engine.start()
    listener = Listener()
    engine.submit(order_of("one", file, num_inference_steps=4, width=96, height=64, batch_size=2), listener)
    assert isinstance(listener.end(), Done), listener.end_event
    engine.stop()
    return np.stack(listener.pixels)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_images_equal_those_without_compilation(compiled, name):
    with_compiler, without, file = compiled[name]
    images = drawn(with_compiler, file)
    assert any(isinstance(block, CompiledBlock) for block in with_compiler.checkpoint(file).unet.modules())
    assert abs(images - drawn(without, file)).max() <= 1
    assert images.std() > 1


@pytest.mark.parametrize("name", MODELS)
def test_steps_of_other_sizes_use_compiled_code_and_compile_nothing(compiled, name):
    store, without, file = compiled[name]
    checkpoint = store.checkpoint(file)
    network = unet if checkpoint.facts.flow is None else transformer
    codes = counters["stats"]["unique_graphs"]
    for side, tokens, rows in ((64, 77, 1), (192, 154, 3)):
        inputs = [denoise_input(checkpoint, side, tokens)] * rows
        with torch.profiler.profile() as profile, compiled_calls():
            found = network.denoise(checkpoint, inputs)
        called = [
            event.key for event in profile.key_averages() if event.key.startswith("Torch-Compiled Region")
        ]
        assert called, f"{rows} rows of {side}² ran without compiled code"
        expected = network.denoise(without.checkpoint(file), inputs)
        assert max((one - other).abs().max() for one, other in zip(found, expected, strict=True)) < 1e-4
    assert counters["stats"]["unique_graphs"] == codes


@pytest.mark.parametrize("name", MODELS)
def test_variant_runs_compiled_code_with_its_own_weights(compiled, name):
    store, _without, file = compiled[name]
    checkpoint = store.checkpoint(file)
    network = unet if checkpoint.facts.flow is None else transformer
    block = next(
        path for path, module in checkpoint.unet.named_modules() if isinstance(module, CompiledBlock)
    )
    weight = next(
        name
        for name, _ in checkpoint.unet.named_parameters()
        if name.startswith(block) and "to_q.weight" in name
    )
    changed = {weight: checkpoint.unet.get_parameter(weight) * -3}
    inputs = [denoise_input(checkpoint, 128, checkpoint.facts.text[0].tokens)]
    plain = network.denoise(checkpoint, inputs)[0]
    variant = type(checkpoint)(**{**vars(checkpoint), "unet": with_tensors(checkpoint.unet, changed)})
    expected = network.denoise(variant, inputs)[0]
    with torch.profiler.profile() as profile, compiled_calls():
        found = network.denoise(variant, inputs)[0]
    assert any(event.key.startswith("Torch-Compiled Region") for event in profile.key_averages())
    assert (found - expected).abs().max() < 1e-4
    assert (found - plain).abs().max() > 1e-3
