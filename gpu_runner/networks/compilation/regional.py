"""Regional compilation: the repeated blocks of a denoiser run as code of torch.compile, everything else as it is.

A block gets a subclass of its class whose ``forward`` calls the compiled one. So copies of the module (variants with
LoRAs share all but the changed blocks) are compiled too: weights are inputs of the compiled code, and blocks of one class
and of the same widths share it. ``Module.compile`` cannot be used: it keeps a reference to the module that it was called
on, so that a copy would run with the weights of the original.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

# Each width, and one row or several, is code of its own. torch's limit of 8 is that of one function, here of a class.
MOST_CODES = 64
# diffusers names the repeated blocks of most networks; these are those of the others.
UNNAMED = {"SD3Transformer2DModel": ("JointTransformerBlock", "SD3SingleTransformerBlock")}


class _ThreadState(threading.local):
    compiled = False


_state = _ThreadState()
_warm_up_lock = threading.Lock()


class CompiledBlock:
    """Marks the blocks that can run as compiled code."""


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks that most of a denoiser consists of, as far as they are not compiled yet."""
    own: Sequence[str] = getattr(network, "_repeated_blocks", None) or ()
    named = own or UNNAMED.get(type(network).__name__, ())
    return [module for module in network.modules() if type(module).__name__ in named]


def compile_blocks(network: nn.Module) -> int:
    """Let the repeated blocks of a network run as compiled code within ``compiled_calls``. Returns their number."""
    blocks = repeated_blocks(network)
    for block in blocks:
        block_class: Any = type(block)
        block.__class__ = _compiled_class(block_class)
    return len(blocks)


@cache
def _compiled_class(block_class: Any) -> type[nn.Module]:
    eager: Any = block_class.forward
    compiled = torch.compile(eager, dynamic=True)

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return (compiled if _state.compiled else eager)(self, *args, **kwargs)

    return type(f"Compiled{block_class.__name__}", (CompiledBlock, block_class), {"forward": forward})


def never_compile_in_steps() -> None:
    """From now on, compiled calls run as they are where their shapes would need a compilation, except in ``warming_up``."""
    from torch._dynamo import config  # takes seconds, which runners without compilation need not spend

    config.recompile_limit = max(config.recompile_limit, MOST_CODES)
    torch.compiler.set_stance("eager_on_recompile")


@contextmanager
def compiled_calls(enabled: bool = True) -> Iterator[None]:
    """Run blocks as compiled code in this thread; as they are while another thread compiles."""
    before, _state.compiled = _state.compiled, enabled and not _warm_up_lock.locked()
    try:
        yield
    finally:
        _state.compiled = before


@contextmanager
def warming_up() -> Iterator[None]:
    """Compile what the calls of this thread lack. One thread at a time: the setting belongs to the process."""
    with _warm_up_lock, torch.compiler.set_stance("default"):
        before, _state.compiled = _state.compiled, True
        try:
            yield
        finally:
            _state.compiled = before
