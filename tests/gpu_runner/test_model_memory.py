"""Evicted models leave memory at once: no reference cycle keeps one until a garbage collection."""

import gc
import weakref
from contextlib import contextmanager

import pytest
import torch

from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint, demo_file

pytestmark = pytest.mark.slow

NIGHT = Variant(loras=(LoraFile(demo_file("loras/atelier-night.safetensors"), 0.7, 1.0),))
KINDS = {  # how to load each kind, and its modules
    "checkpoint": (lambda store: store.get(demo_checkpoint()), lambda model: [model.unet, model.vae]),
    "checkpoint with a LoRA": (lambda store: store.get(demo_checkpoint(), NIGHT), lambda model: [model.unet]),
    "vae": (
        lambda store: store.vae(demo_file("vae/atelier-sepia.safetensors"), torch.float32),
        lambda vae: [vae],
    ),
    "controlnet": (
        lambda store: store.controlnet(demo_file("controlnet/atelier-canny.safetensors")),
        lambda model: [model.net],
    ),
    "upscaler": (
        lambda store: store.upscaler(demo_file("upscalers/atelier-2x.safetensors")),
        lambda model: [model.descriptor.model],
    ),
}


@contextmanager
def no_collections():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_freed_without_a_garbage_collection(kind):
    store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
    load, modules_of = KINDS[kind]
    with no_collections():
        model = load(store)
        parts = [part for module in modules_of(model) for part in (*module.modules(), *module.parameters())]
        references = [weakref.ref(part) for part in (model, *parts)]
        del model, parts
        store.clear()
        assert [type(left()).__name__ for left in references if left() is not None] == []


def test_a_store_is_freed_without_a_garbage_collection():
    with no_collections():
        store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
        checkpoint = weakref.ref(store.get(demo_checkpoint()))
        del store
        assert checkpoint() is None
