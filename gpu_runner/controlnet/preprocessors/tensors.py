"""Conversion of images to network inputs, and of network outputs to arrays."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from .arrays import Numbers, Pixels


def batch_of(network: nn.Module, pixels: Pixels, multiple: int) -> Tensor:
    """Return (1, 3, h, w) float32 from 0 to 255 on the network's device, with sides rounded to ``multiple``."""
    height, width = (max(multiple, round(side / multiple) * multiple) for side in pixels.shape[:2])
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    tensor = torch.from_numpy(resized.astype(np.float32)).permute(2, 0, 1)[None]
    return tensor.to(next(network.parameters()).device)


def plane_of(output: Tensor, like: Pixels) -> Numbers:
    """Return the output's single channel, resized to the size of ``like``."""
    plane = output.float().squeeze().cpu().numpy()
    return cv2.resize(plane, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)
