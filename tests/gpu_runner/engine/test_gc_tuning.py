"""Full garbage collections stop every thread: models leave without them, and the engine makes them when it has nothing to do."""

import gc
import subprocess
import sys
import threading
import weakref
from contextlib import contextmanager

import pytest
import torch

from gpu_runner.engine import engine as engines
from gpu_runner.engine import gc_tuning
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint, demo_file

NIGHT = Variant(loras=(LoraFile(demo_file("loras/atelier-night.safetensors"), 0.7, 1.0),))
KINDS = {  # each with how to come to its modules
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
def test_a_model_leaves_memory_without_a_collection(kind):
    store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
    load, modules_of = KINDS[kind]
    with no_collections():
        model = load(store)
        parts = [part for module in modules_of(model) for part in (*module.modules(), *module.parameters())]
        remains = [weakref.ref(part) for part in (model, *parts)]
        del model, parts
        store.clear()
        assert [type(left()).__name__ for left in remains if left() is not None] == []


def test_a_store_leaves_memory_without_a_collection():
    with no_collections():
        store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
        checkpoint = weakref.ref(store.get(demo_checkpoint()))
        del store
        assert checkpoint() is None


class Circle:
    def __init__(self):
        self.itself = self


def test_an_engine_with_nothing_to_do_collects(monkeypatch):
    monkeypatch.setattr(gc_tuning, "WORTH_WHILE", 0)
    monkeypatch.setattr(engines, "IDLE_S", 0.01)
    engine = Engine(ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30), torch.device("cpu"))
    with no_collections():
        lost = weakref.ref(Circle())
        assert lost() is not None
        engine.start()
        while lost() is not None:
            threading.Event().wait(0.05)
    engine.stop()


def test_a_runner_that_is_never_idle_collects_now_and_then(monkeypatch):
    collections = gc_tuning.FullCollections()
    monkeypatch.setattr(gc_tuning, "WORTH_WHILE", 0)
    assert collections.are_due
    assert not collections.are_overdue
    monkeypatch.setattr(gc_tuning, "BUSY_S", 0)
    assert collections.are_overdue


def test_nothing_else_brings_a_full_collection_about():
    code = """
import gc
from gpu_runner import interpreter

interpreter.keep_what_is_there()
full = gc.get_stats()[2]["collections"]
kept = [[n] for n in range(2_000_000)]
assert gc.get_stats()[2]["collections"] == full
collections = interpreter.FullCollections()
assert collections.are_due
collections.run()
assert gc.get_stats()[2]["collections"] == full + 1
assert not collections.are_due
"""
    subprocess.run([sys.executable, "-c", code], check=True)
