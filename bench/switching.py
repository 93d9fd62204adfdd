"""What a change of models costs against a cold load, and whether a thousand changes leave anything behind. One run."""

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
from demo.random_models import write_family
from gpu_runner.engine import gc_tuning
from gpu_runner.engine.engine import Engine
from gpu_runner.models import devices
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.protocol import Done, Event, Failed, GenerationRequest, ModelFile, RunRequest
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS

BUDGET = 2**30
SMALL_BUDGET = 2**27  # is full before memory is measured: what grows after that is a leak
COLD_LOADS = 5
PICTURES = 3  # drawn to find the longest pause in each
CHANGES = 1000
BEFORE_MEASURING = 200  # changes until every cache is as full as it gets
LORAS = 3
RANK = 8


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


class Library:
    """Two checkpoints and some LoRAs in a folder of their own."""

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
        """Over every attention, as most LoRAs are."""
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
    """The median of fresh stores; the files are in the system's cache, which makes the ratios harder to reach."""
    return statistics.median(
        seconds(lambda: library.store().get(library.checkpoints[0])) for _ in range(COLD_LOADS)
    )


def warm_change(store: ModelStore, library: Library) -> float:
    turns = itertools.islice(itertools.cycle(library.checkpoints), 20)
    return statistics.median(seconds(lambda file=file: store.get(file)) for file in turns)


def lora_change(store: ModelStore, library: Library) -> float:
    """Each at a weight that was never used before."""
    uses = [
        Variant(loras=(LoraFile(library.loras[number % LORAS], 0.1 + number / 100, 1.0),))
        for number in range(20)
    ]
    return statistics.median(seconds(lambda use=use: store.get(library.checkpoints[0], use)) for use in uses)


def memory_growth(store: ModelStore, library: Library) -> tuple[float, float]:
    """Of the process: between the 200th and the last of a thousand random changes of checkpoint and LoRAs, and over the
    thousand changes after those."""
    dice = random.Random(0)

    def change() -> None:
        chosen = dice.sample(library.loras, dice.randint(0, LORAS))
        uses = tuple(LoraFile(file, dice.random(), dice.random()) for file in chosen)
        is_demo = uses or dice.random() < 0.5
        store.get(library.checkpoints[0] if is_demo else library.checkpoints[1], Variant(loras=uses))

    def resident() -> int:
        gc.collect()
        devices.give_back()
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
    """When a job's events came."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.ended = threading.Event()

    def __call__(self, event: Event) -> None:
        self.moments.append(time.perf_counter())
        if isinstance(event, Done | Failed):
            self.ended.set()

    @property
    def longest_pause(self) -> float:
        steps = self.moments[2:]  # without the load of the job's own checkpoint
        return max(later - earlier for earlier, later in itertools.pairwise(steps))


def longest_pause(library: Library, *, loading: bool) -> float:
    """Between two steps of a picture under way, while other checkpoints are loaded beside it or not."""
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
    """The median of some pictures each, drawn by turns: without and beside loads."""
    pairs = [
        (longest_pause(library, loading=False), longest_pause(library, loading=True)) for _ in range(PICTURES)
    ]
    quiet, busy = zip(*pairs, strict=True)
    return statistics.median(quiet), statistics.median(busy)


def measure() -> list[Row]:
    gc_tuning.tune()  # as a runner does
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
