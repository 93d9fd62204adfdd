"""Cost of switching models against a cold load, and memory growth over thousands of switches, in one run."""

from __future__ import annotations

import gc
import hashlib
import itertools
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file

from bench.report import Row
from demo.architectures.random_models import write_family
from gpu_runner.engine import gc_tuning
from gpu_runner.engine.engine import Engine
from gpu_runner.models import devices
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import Done, Event, Failed, GenerationRequest, ModelFile, RunRequest
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS

BUDGET = 2**30
SMALL_BUDGET = 2**27  # full before the memory is measured, so any later growth is a leak
COLD_LOADS = 5
IMAGES = 3  # number of images whose longest pause is measured
CHANGES = 1000
BEFORE_MEASURING = 200  # changes until all caches have reached their maximum size
LORAS = 3
RANK = 8


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class Library:
    """Two checkpoints and several LoRAs in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copy(DEMO_MODELS / DEMO_CHECKPOINT, root / "demo.safetensors")
        write_family("sd15", root / "tiny.safetensors", tiny=True)
        self.checkpoints = [self.file("demo.safetensors"), self.file("tiny.safetensors")]
        demo = self.store().get(self.checkpoints[0])
        self.loras = [self._lora(demo.unet, seed) for seed in range(LORAS)]

    def store(self, budget: int = BUDGET) -> ModelStore:
        return ModelStore(self.root, "cpu", torch.float32, budget)

    def file(self, name: str) -> ModelFile:
        return ModelFile(path=name, sha256=hashlib.sha256((self.root / name).read_bytes()).hexdigest())

    def _lora(self, unet: torch.nn.Module, seed: int) -> ModelFile:
        """LoRA over the linear layers of all attention blocks, as in most LoRAs."""
        torch.manual_seed(seed)
        tensors = {}
        for path, module in unet.named_modules():
            if isinstance(module, torch.nn.Linear) and ".attentions." in path:
                name = f"lora_unet_{path.replace('.', '_')}"
                tensors[f"{name}.lora_down.weight"] = torch.randn(RANK, module.in_features) * 0.01
                tensors[f"{name}.lora_up.weight"] = torch.randn(module.out_features, RANK) * 0.01
        save_file(tensors, self.root / f"lora-{seed}.safetensors")
        return self.file(f"lora-{seed}.safetensors")


def cold_load(library: Library) -> float:
    """Median over new stores. The files are in the page cache, which makes cold loads faster."""
    return statistics.median(
        seconds(lambda: library.store().get(library.checkpoints[0])) for _ in range(COLD_LOADS)
    )


def warm_change(store: ModelStore, library: Library) -> float:
    files = itertools.islice(itertools.cycle(library.checkpoints), 20)
    return statistics.median(seconds(lambda file=file: store.get(file)) for file in files)


def lora_change(store: ModelStore, library: Library) -> float:
    """Median time to apply a LoRA with a weight that was not used before."""
    uses = [
        Variant(loras=(LoraFile(library.loras[number % LORAS], 0.1 + number / 100, 1.0),))
        for number in range(20)
    ]
    return statistics.median(seconds(lambda use=use: store.get(library.checkpoints[0], use)) for use in uses)


def memory_growth(store: ModelStore, library: Library) -> tuple[float, float]:
    """Memory growth of the process over random changes of checkpoint and LoRAs.

    Returns the growth between the 200th and the 1,000th change, and over the following 1,000 changes.
    """
    rng = random.Random(0)

    def change() -> None:
        chosen = rng.sample(library.loras, rng.randint(0, LORAS))
        uses = tuple(LoraFile(file, rng.random(), rng.random()) for file in chosen)
        is_demo = uses or rng.random() < 0.5
        store.get(library.checkpoints[0] if is_demo else library.checkpoints[1], Variant(loras=uses))

    def resident() -> int:
        gc.collect()
        devices.trim_heap()
        return psutil.Process().memory_info().rss

    for _ in range(BEFORE_MEASURING):
        change()
    before = resident()
    for _ in range(CHANGES - BEFORE_MEASURING):
        change()
    between = resident()
    for _ in range(CHANGES):
        change()
    return between / before - 1, resident() / between - 1


class Clock:
    """Timestamps of a job's events."""

    def __init__(self) -> None:
        self.timestamps: list[float] = []
        self.ended = threading.Event()

    def __call__(self, event: Event) -> None:
        self.timestamps.append(time.perf_counter())
        if isinstance(event, Done | Failed):
            self.ended.set()

    @property
    def longest_pause(self) -> float:
        steps = self.timestamps[2:]  # without the load of the job's own checkpoint
        return max(later - earlier for earlier, later in itertools.pairwise(steps))


def longest_pause(library: Library, *, loading: bool) -> float:
    """Longest time between two steps of an image, with or without concurrent checkpoint loads."""
    engine = Engine(library.store(), torch.device("cpu"))
    engine.start()
    clock = Clock()
    request = GenerationRequest(prompt="a red circle", width=256, height=256, num_inference_steps=60)
    engine.submit(RunRequest(job_id="bench", request=request, checkpoint=library.checkpoints[0]), clock)
    while not clock.ended.wait(0.0 if loading else None):
        library.store().get(library.checkpoints[1])
    engine.stop()
    return clock.longest_pause


def longest_pauses(library: Library) -> tuple[float, float]:
    """Medians over several images, alternating: without and with concurrent loads."""
    pairs = [
        (longest_pause(library, loading=False), longest_pause(library, loading=True)) for _ in range(IMAGES)
    ]
    quiet, busy = zip(*pairs, strict=True)
    return statistics.median(quiet), statistics.median(busy)


def measure() -> list[Row]:
    gc_tuning.tune()  # same settings as in a runner
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder))
        store = library.store()
        for file in library.checkpoints:
            store.get(file)
        cold = cold_load(library)
        quiet, busy = longest_pauses(library)
        warm, lora = warm_change(store, library), lora_change(store, library)
        growth, further_growth = memory_growth(library.store(SMALL_BUDGET), library)
        return [
            Row("a cold load of the demo checkpoint", cold, "s"),
            Row(
                "a warm change of checkpoint, of a cold load",
                warm / cold * 100,
                "%",
                "≤ 5 %",
            ),
            Row("a change of LoRA, of a cold load", lora / cold * 100, "%", "≤ 10 %"),
            Row("memory after 1,000 random changes, more by", growth * 100, "%", "≤ 1 %"),
            Row("memory after 1,000 further changes, more by", further_growth * 100, "%"),
            Row("the longest pause between steps during loads, of that without", busy / quiet, "×", "≤ 2 ×"),
        ]
