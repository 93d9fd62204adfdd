"""Weight deltas of LoRA, LoCon, LoHa, LoKr and full-difference modules, in float32.

LoRA: Hu et al. 2021. LoCon, LoHa and LoKr: Yeh et al. 2023 ("Navigating Text-To-Image Customization").
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]

UNSUPPORTED = {"dora": "DoRA", "oft": "OFT"}
REQUIRED_PARTS = ({"down", "up"}, {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}, {"diff"}, {"diff_b"})


def is_complete(parts: Parts) -> bool:
    """Whether all tensors that the kind of adapter requires are present."""
    return any(kind <= parts.keys() for kind in REQUIRED_PARTS) or (
        _has_factor(parts, "lokr_w1") and _has_factor(parts, "lokr_w2")
    )


def weight_delta(
    parts: Parts, shape: torch.Size, device: torch.device, rank: int | None = None
) -> Tensor | None:
    """Return the delta of a module's weight, or None if only the bias changes.

    ``rank`` keeps the first ranks of a plain LoRA without rescaling; other kinds stay whole, as in A1111.
    Raises ValueError if the number of elements differs from ``shape``.
    """
    parts = {name: tensor.to(device, torch.float32) for name, tensor in parts.items()}
    delta = _delta(parts, rank)
    if delta is not None and delta.numel() != shape.numel():
        raise ValueError(
            f"the weight must have the shape {tuple(shape)} (got a delta of {tuple(delta.shape)})"
        )
    return None if delta is None else delta.reshape(shape)


def _delta(parts: Parts, rank: int | None) -> Tensor | None:
    if "down" in parts:
        return _scaled(_low_rank(parts, rank), _scale(parts, parts["down"].shape[0]))
    if "hada_w1_a" in parts:
        return _scaled(_hadamard(parts), _scale(parts, parts["hada_w1_b"].shape[0]))
    if "diff" in parts:
        return parts["diff"]
    return None if "diff_b" in parts else _kronecker(parts)


def _scale(parts: Parts, rank: int) -> float:
    return float(parts["alpha"]) / rank if "alpha" in parts else 1.0


def _scaled(delta: Tensor, scale: float) -> Tensor:
    return delta if scale == 1.0 else delta * scale


def _low_rank(parts: Parts, rank: int | None) -> Tensor:
    down, up = parts["down"], parts["up"]
    if "mid" in parts:
        return torch.einsum("om,mnhw,ni->oihw", up.flatten(1), parts["mid"], down.flatten(1))
    down, up = down[:rank], up[:, :rank]
    return (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def _hadamard(parts: Parts) -> Tensor:
    first, second = (
        _product(parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}")) for n in (1, 2)
    )
    return first * second


def _product(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    """Product of the two factors; a Tucker decomposition if there is a core (factors have the rank first)."""
    return a @ b if core is None else torch.einsum("rshw,ro,si->oihw", core, a, b)


def _kronecker(parts: Parts) -> Tensor:
    first, second = _factor(parts, 1), _factor(parts, 2)
    if second.ndim == 4:
        first = first[..., None, None]
    ranks = [parts[name].shape[0] for name in ("lokr_w1_b", "lokr_w2_b") if name in parts]
    return torch.kron(first, second.contiguous()) * (_scale(parts, ranks[-1]) if ranks else 1.0)


def _factor(parts: Parts, number: int) -> Tensor:
    name = f"lokr_w{number}"
    if name in parts:
        return parts[name]
    a, b = parts[f"{name}_a"], parts[f"{name}_b"]
    core = parts.get(f"lokr_t{number}")
    if core is None:
        return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:])
    return _product(a, b, core)


def _has_factor(parts: Parts, name: str) -> bool:
    return name in parts or {f"{name}_a", f"{name}_b"} <= parts.keys()
