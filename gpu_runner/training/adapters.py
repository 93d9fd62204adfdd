"""LoRA layers of peft in the modules of a checkpoint, and their tensors by their names in a file.

The same modules as in kohya's scripts (https://github.com/kohya-ss/sd-scripts, networks/lora.py): linear layers and 1x1
convolutions of the UNet's transformers; attention and feed-forward layers of the text encoders. Transformers of
flow-matching families: attention and feed-forward layers of their blocks, in the names of diffusers and PEFT, which every
engine reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from gpu_runner.networks.loaded import LoadedCheckpoint

UNET_PREFIX = "lora_unet_"
ONE_TEXT_ENCODER = ("lora_te_",)
TWO_TEXT_ENCODERS = ("lora_te1_", "lora_te2_")
TRANSFORMER_PREFIX = "transformer."
BLOCKS = frozenset({"transformer_blocks", "layers"})
IN_BLOCK = re.compile(r"\.(attn2?|attention|ff(_context)?|feed_forward)\.")
KOHYA, PEFT = (".lora_down.weight", ".lora_up.weight"), (".lora_A.weight", ".lora_B.weight")


class Adapters:
    """The trainable LoRA layers of a checkpoint, in float32. The checkpoint's own weights are frozen."""

    def __init__(
        self, checkpoint: LoadedCheckpoint, *, rank: int, alpha: float, text_encoders: bool, seed: int
    ) -> None:
        self.rank, self.alpha = rank, alpha
        is_flow = checkpoint.facts.flow is not None
        self._denoiser = TRANSFORMER_PREFIX if is_flow else UNET_PREFIX
        self._factors = PEFT if is_flow else KOHYA
        self._modules: dict[str, nn.Module] = {self._denoiser: checkpoint.unet}
        if text_encoders and is_flow:
            raise ValueError("the text encoders of this family are not trained")
        if text_encoders:
            prefixes = ONE_TEXT_ENCODER if checkpoint.text_encoder_2 is None else TWO_TEXT_ENCODERS
            self._modules |= dict(zip(prefixes, checkpoint.text_encoders, strict=True))
        for module in checkpoint.modules().values():
            module.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for prefix, module in self._modules.items():
                names = NAMES.get(prefix, _text_names)(module)
                config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
                inject_adapter_in_model(config, module)
        for parameter in (*self.unet_parameters(), *self.text_parameters()):
            parameter.data = parameter.data.float()

    def unet_parameters(self) -> list[nn.Parameter]:
        return _trainable(self._modules[self._denoiser])

    def text_parameters(self) -> list[nn.Parameter]:
        return [
            parameter
            for prefix, module in self._modules.items()
            if prefix != self._denoiser
            for parameter in _trainable(module)
        ]

    def state(self) -> dict[str, Tensor]:
        """The layers' weights by their names in the file, with alpha."""
        down, up = self._factors
        tensors: dict[str, Tensor] = {}
        for name, layer in self._layers():
            tensors[name + down] = layer.lora_A["default"].weight.detach().cpu()
            tensors[name + up] = layer.lora_B["default"].weight.detach().cpu()
            tensors[f"{name}.alpha"] = torch.tensor(self.alpha)
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state`` has returned."""
        down, up = self._factors
        for name, layer in self._layers():
            layer.lora_A["default"].weight.copy_(tensors[name + down])
            layer.lora_B["default"].weight.copy_(tensors[name + up])

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """The base model, without the adapters."""
        with ExitStack() as stack:
            for _name, layer in self._layers():
                layer.enable_adapters(False)
                stack.callback(layer.enable_adapters, True)
            yield

    def _layers(self) -> Iterator[tuple[str, Any]]:
        for prefix, module in self._modules.items():
            for path, inner in module.named_modules():
                if isinstance(inner, LoraLayer):
                    yield prefix + (path if self._factors is PEFT else path.replace(".", "_")), inner


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _unet_names(unet: nn.Module) -> list[str]:
    return [
        path
        for path, inner in unet.named_modules()
        if ".attentions." in path
        and (isinstance(inner, nn.Linear) or (isinstance(inner, nn.Conv2d) and inner.kernel_size == (1, 1)))
    ]


def _text_names(encoder: nn.Module) -> list[str]:
    return [
        path
        for path, inner in encoder.named_modules()
        if isinstance(inner, nn.Linear) and (".self_attn." in path or ".mlp." in path)
    ]


def _transformer_names(transformer: nn.Module) -> list[str]:
    """Of the blocks' attention and feed-forward layers."""
    return [
        path
        for path, inner in transformer.named_modules()
        if isinstance(inner, nn.Linear) and path.partition(".")[0] in BLOCKS and IN_BLOCK.search(path)
    ]


NAMES = {UNET_PREFIX: _unet_names, TRANSFORMER_PREFIX: _transformer_names}
