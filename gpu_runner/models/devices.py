"""Device selection, memory figures and error classification for CPU and CUDA."""

from __future__ import annotations

import ctypes

import psutil
import torch


def pick(name: str) -> torch.device:
    """Return the named torch device; ``auto`` selects CUDA if available, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
