"""Pictures for networks, and what they answer."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from .arrays import Numbers, Pixels


def batch_of(network: nn.Module, pixels: Pixels, multiple: int) -> Tensor:
    """(1, 3, h, w) of 0 to 255 where the network is, with sides that it can halve often enough."""
    height, width = (max(multiple, round(side / multiple) * multiple) for side in pixels.shape[:2])
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    tensor = torch.from_numpy(resized.astype(np.float32)).permute(2, 0, 1)[None]
    return tensor.to(next(network.parameters()).device)


def plane_of(answer: Tensor, like: Pixels) -> Numbers:
    """The answer's only plane at the picture's size."""
    plane = answer.float().squeeze().cpu().numpy()
    return cv2.resize(plane, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)
