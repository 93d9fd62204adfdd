"""Train a demo LoRA: ``python -m demo.train_lora night`` (dark colors) or ``rings`` (shapes as rings).

``night`` adapts the attention layers only, as most LoRAs do; ``rings`` also the convolutions (LoCon). The files have the
kohya layout.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from demo.data.looks import LOOKS
from demo.learning.finetuning import MODELS, MODELSPEC, Base, SceneDataset, adam, optimize, scene_loss

RANK, ALPHA = 8, 8.0
WITH_CONVOLUTIONS = {"rings"}
STEPS = {"night": 400, "rings": 1500}


class LowRank(nn.Module):
    """Parametrization that adds ``up @ down`` to a weight of any shape; ``up`` is initialized with zeros."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, weight[0].numel()) / weight[0].numel() ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], RANK))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def adapted(unet: nn.Module, *, convolutions: bool) -> Iterator[tuple[str, nn.Module]]:
    for name, module in unet.named_modules():
        in_attention = ".attentions." in name and isinstance(module, nn.Linear | nn.Conv2d)
        in_resnet = convolutions and name.endswith((".conv1", ".conv2"))
        if in_attention or in_resnet:
            yield name, module


def kohya_tensors(layers: dict[str, LowRank], shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    tensors = {}
    for name, layer in layers.items():
        key, shape = "lora_unet_" + name.replace(".", "_"), shapes[name]
        kernel = (1,) * (len(shape) - 2)
        tensors[f"{key}.lora_down.weight"] = layer.down.detach().view(RANK, *shape[1:])
        tensors[f"{key}.lora_up.weight"] = layer.up.detach().view(shape[0], RANK, *kernel)
        tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
    return {name: tensor.half().contiguous() for name, tensor in tensors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("look", choices=sorted(STEPS))
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    torch.manual_seed(6)
    base = Base()
    dataset = SceneDataset(base.vae, LOOKS[options.look])
    layers, shapes = {}, {}
    for name, module in list(adapted(base.unet, convolutions=options.look in WITH_CONVOLUTIONS)):
        layers[name], shapes[name] = LowRank(module.weight), module.weight.shape
        parametrize.register_parametrization(module, "weight", layers[name])

    parameters = [parameter for layer in layers.values() for parameter in layer.parameters()]
    optimize([adam(parameters, 4e-3)], scene_loss(base, dataset), steps=options.steps or STEPS[options.look])
    path = MODELS / "loras" / f"atelier-{options.look}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        **MODELSPEC,
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.title": f"Atelier {options.look}",
        "ss_base_model_version": "sd_v1",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(ALPHA),
        "ss_output_name": f"atelier-{options.look}",
    }
    save_file(kohya_tensors(layers, shapes), path, metadata=metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
