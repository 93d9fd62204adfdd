"""LoRA layers of peft in the modules of a checkpoint, and their tensors in the kohya layout.

The same modules as in kohya's scripts (https://github.com/kohya-ss/sd-scripts, networks/lora.py): linear layers and 1x1
convolutions of the UNet's transformers; attention and feed-forward layers of the text encoders.
"""

from __future__ import annotations

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


class Adapters:
    """The trainable LoRA layers of a checkpoint, in float32. The checkpoint's own weights are frozen."""

    def __init__(
        self, checkpoint: LoadedCheckpoint, *, rank: int, alpha: float, text_encoders: bool, seed: int
    ) -> None:
        self.rank, self.alpha = rank, alpha
        self._modules: dict[str, nn.Module] = {UNET_PREFIX: checkpoint.unet}
        if text_encoders:
            prefixes = ONE_TEXT_ENCODER if checkpoint.text_encoder_2 is None else TWO_TEXT_ENCODERS
            self._modules |= dict(zip(prefixes, checkpoint.text_encoders, strict=True))
        for module in checkpoint.modules().values():
            module.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for prefix, module in self._modules.items():
                names = _unet_names(module) if prefix == UNET_PREFIX else _text_names(module)
                config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
                inject_adapter_in_model(config, module)
        for parameter in (*self.unet_parameters(), *self.text_parameters()):
            parameter.data = parameter.data.float()

    def unet_parameters(self) -> list[nn.Parameter]:
        return _trainable(self._modules[UNET_PREFIX])

    def text_parameters(self) -> list[nn.Parameter]:
        return [
            parameter
            for prefix, module in self._modules.items()
            if prefix != UNET_PREFIX
            for parameter in _trainable(module)
        ]

    def state(self) -> dict[str, Tensor]:
        """The layers' weights by their names in kohya's layout, with alpha."""
        tensors: dict[str, Tensor] = {}
        for name, layer in self._layers():
            tensors[f"{name}.lora_down.weight"] = layer.lora_A["default"].weight.detach().cpu()
            tensors[f"{name}.lora_up.weight"] = layer.lora_B["default"].weight.detach().cpu()
            tensors[f"{name}.alpha"] = torch.tensor(self.alpha)
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state`` has returned."""
        for name, layer in self._layers():
            layer.lora_A["default"].weight.copy_(tensors[f"{name}.lora_down.weight"])
            layer.lora_B["default"].weight.copy_(tensors[f"{name}.lora_up.weight"])

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
                    yield prefix + path.replace(".", "_"), inner


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
