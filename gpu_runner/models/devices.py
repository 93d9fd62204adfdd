"""What differs between a CPU and an accelerator."""

from __future__ import annotations

import ctypes

import psutil
import torch


def pick(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    return torch.float16 if device.type == "cuda" else torch.float32


def describe(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def synchronize(device: torch.device) -> None:
    """Waits for the device's work: time and progress are told only of steps that are really done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release_cache(device: torch.device) -> None:
    give_back()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss


def capacity_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total


def ram_for_models(device: torch.device) -> int:
    """Half of the machine's, where the device has its own memory; none where that is the same."""
    return psutil.virtual_memory().total // 2 if device.type == "cuda" else 0


def is_out_of_memory(error: Exception) -> bool:
    # The CPU's allocator has no exception class of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def is_lost(error: Exception) -> bool:
    """After such an error every later call on the device fails too: only a new process helps."""
    return isinstance(error, torch.AcceleratorError)


def give_back() -> None:
    """Call malloc_trim(3), where the C library has it. Takes 5 to 10 ms.

    The tensors of an evicted model lie between others, so malloc returns little of them by itself.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
