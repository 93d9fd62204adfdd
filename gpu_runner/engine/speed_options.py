"""Options for the speed of a device: compilation of the denoisers, and the implementation of attention."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import time
from collections.abc import Callable

import torch

from gpu_runner.models.devices import DeviceUnavailable
from gpu_runner.models.files import model_file
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation import attention
from gpu_runner.networks.compilation.regional import never_compile_in_steps
from gpu_runner.networks.compilation.warm_up import compile_and_warm_up
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.errors import ModelUnavailable

log = logging.getLogger(__name__)

OFF, REGIONAL = "off", "regional"
FULL, FLOAT8 = "full", "float8"


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options; the defaults come from environment variables."""
    parser.add_argument(
        "--torch-compile", default=os.environ.get("TORCH_COMPILE") or OFF, help=f"{OFF} or {REGIONAL}"
    )
    parser.add_argument(
        "--torch-compile-models",
        default=os.environ.get("TORCH_COMPILE_MODELS", ""),
        help="checkpoints that are loaded and compiled before the runner is ready; paths separated by commas",
    )
    parser.add_argument(
        "--attention-backend",
        default=os.environ.get("ATTENTION_BACKEND") or "native",
        help=", ".join(attention.BACKENDS),
    )
    parser.add_argument(
        "--weight-storage",
        default=os.environ.get("WEIGHT_STORAGE") or FULL,
        help=f"{FULL} or {FLOAT8}: large weights of denoisers take half the memory of float16",
    )


def prepare(options: argparse.Namespace, device: torch.device) -> Callable[[LoadedCheckpoint], None]:
    """Check the options, and return what is done with each checkpoint that has been loaded.

    Raises DeviceUnavailable if the device cannot do what they say.
    """
    if problem := attention.problem(options.attention_backend, device):
        raise DeviceUnavailable(problem)
    if options.weight_storage not in (FULL, FLOAT8):
        raise DeviceUnavailable(
            f"WEIGHT_STORAGE must be {FULL} or {FLOAT8} (got {options.weight_storage[:40]!r})"
        )
    if options.torch_compile not in (OFF, REGIONAL):
        raise DeviceUnavailable(
            f"TORCH_COMPILE must be {OFF} or {REGIONAL} (got {options.torch_compile[:40]!r})"
        )
    if options.torch_compile == OFF:
        return lambda checkpoint: None
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise DeviceUnavailable(
            f"TORCH_COMPILE={REGIONAL} on a CPU needs a C++ compiler: {compiler} was not found"
        )
    never_compile_in_steps()
    return _compiled


def warm_up(options: argparse.Namespace, store: ModelStore) -> None:
    """Load the checkpoints that the options name. One that cannot be loaded is logged, and left to its jobs."""
    if options.torch_compile == OFF:
        return
    for path in filter(None, (path.strip() for path in options.torch_compile_models.split(","))):
        try:
            store.checkpoint(model_file(options.models_root, path))
        except ModelUnavailable as error:
            log.warning("not compiled: %s", error)


def _compiled(checkpoint: LoadedCheckpoint) -> None:
    started = time.perf_counter()
    try:
        compile_and_warm_up(checkpoint)
    except Exception:
        # The blocks that are not compiled run as they are.
        log.exception("a checkpoint of the family %s is not compiled", checkpoint.family)
    else:
        log.info("compiled a %s checkpoint in %.1f s", checkpoint.family, time.perf_counter() - started)
