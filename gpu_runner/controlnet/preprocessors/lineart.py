"""Preprocessors lineart and lineart_coarse: the generator of Chan, Durand and Isola (2022), "Learning to generate line
drawings that convey geometry and semantics" (informative drawings), sk_model.pth and sk_model2.pth."""

from __future__ import annotations

from torch import Tensor, nn

from gpu_runner.networks.tensor_file import TensorFile

from .arrays import Pixels, gray_to_rgb
from .tensors import batch_of, plane_of

BLOCKS = 3


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Generator(nn.Module):
    """Output 1 for paper, 0 for lines. Submodules are named as in the files."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model0 = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU()
        )
        self.model1 = nn.Sequential(*_downsample(width), *_downsample(2 * width))
        self.model2 = nn.Sequential(*(Residual(4 * width) for _ in range(BLOCKS)))
        self.model3 = nn.Sequential(*_upsample(4 * width), *_upsample(2 * width))
        self.model4 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.model0, self.model1, self.model2, self.model3, self.model4):
            x = part(x)
        return x


def _downsample(width: int) -> list[nn.Module]:
    return [
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.InstanceNorm2d(2 * width),
        nn.ReLU(),
    ]


def _upsample(width: int) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
    return [convolution, nn.InstanceNorm2d(width // 2), nn.ReLU()]


def build(file: TensorFile) -> nn.Module:
    """Return the network of a file; its width is derived from the shapes."""
    network = Generator(file.shapes["model0.1.weight"][0])
    network.load_state_dict({name: file[name] for name in network.state_dict()})
    return network


def detect(network: nn.Module, pixels: Pixels) -> Pixels:
    """Return white lines on black."""
    paper = plane_of(network(batch_of(network, pixels, 4) / 255), pixels)
    return gray_to_rgb((1 - paper) * 255)
