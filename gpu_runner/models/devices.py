"""Device selection, memory figures and error classification for CPU and CUDA."""

from __future__ import annotations

import ctypes
import re

import psutil
import torch

NAME = re.compile(r"cpu|cuda(:\d{1,2})?")


class DeviceUnavailable(Exception):
    """The device cannot be used by this process; the message names the cause and the remedy."""


def pick(name: str) -> torch.device:
    """Return the named torch device; ``auto`` selects CUDA if available, else the CPU.

    Raises DeviceUnavailable.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not NAME.fullmatch(name):
        raise DeviceUnavailable(f"unknown device {name[:40]!r}: allowed are auto, cpu, cuda and cuda:N")
    device = torch.device(name)
    if device.type == "cuda":
        _check_cuda(device)
    return device


def _check_cuda(device: torch.device) -> None:
    if torch.version.cuda is None:
        raise DeviceUnavailable(
            f"device {device}: torch {torch.__version__} is a build without CUDA. Install a CUDA build of torch,"
            " or set RUNNER_DEVICE=cpu"
        )
    if not torch.cuda.is_available():
        raise DeviceUnavailable(
            f"device {device}: torch {torch.__version__} finds no usable GPU. It needs a driver for CUDA"
            f" {torch.version.cuda}; check the output of nvidia-smi"
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise DeviceUnavailable(
            f"device {device}: the highest index of the {torch.cuda.device_count()} visible GPUs is"
            f" {torch.cuda.device_count() - 1}. CUDA_VISIBLE_DEVICES limits which are visible"
        )


def default_dtype(device: torch.device) -> torch.dtype:
    return torch.float16 if device.type == "cuda" else torch.float32


def describe(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def synchronize(device: torch.device) -> None:
    """Wait for all queued CUDA kernels, so that timings and progress count completed steps only."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release_cache(device: torch.device) -> None:
    """Return unused memory of malloc and of the CUDA caching allocator."""
    trim_heap()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def memory_bytes(device: torch.device) -> int:
    """Bytes reserved by the CUDA allocator, or the resident set size of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss


def capacity_bytes(device: torch.device) -> int:
    """Total memory of the GPU, or of the machine on a CPU, in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total


def ram_for_models(device: torch.device) -> int:
    """RAM budget for cached models in bytes: half of the RAM with a GPU, 0 on a CPU."""
    return psutil.virtual_memory().total // 2 if device.type == "cuda" else 0


def is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator raises a plain RuntimeError, recognizable only by its message.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def is_lost(error: Exception) -> bool:
    """Whether the CUDA context is unusable after this error, so that the process must restart."""
    return isinstance(error, torch.AcceleratorError)


def trim_heap() -> None:
    """Call malloc_trim(3), where the C library has it. Takes 5 to 10 ms.

    The heap is fragmented after an eviction, so malloc returns little memory to the OS by itself.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
