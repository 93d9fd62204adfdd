"""Weight deltas of all supported kinds of adapters, in float32.

LoRA: Hu et al. 2021. LoCon, LoHa and LoKr: Yeh et al. 2023 ("Navigating Text-To-Image Customization"). DoRA: Liu et al.
2024. OFT: Qiu et al. 2023, in the forms of kohya and LyCORIS. BOFT: Liu et al. 2023. (IA)³: Liu et al. 2022. GLoRA: Chavan
et al. 2023. Where implementations differ, the result is that of A1111 1.10.

DoRA, OFT, (IA)³ and GLoRA depend on the weight that they change. It is always the checkpoint's own, so that several
adapters give the same result in any order.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from gpu_runner.protocol.model_detection.adapter_shapes import fits, requirement_of

Parts = Mapping[str, Tensor]


def weight_delta(parts: Parts, weight: Tensor, rank: int | None = None) -> Tensor | None:
    """Return the delta of a module's weight, or None if only the bias changes.

    ``rank`` keeps the first ranks of a plain LoRA without rescaling; other kinds stay whole, as in A1111.
    Raises ValueError or RuntimeError if the tensors do not fit the weight.
    """
    required = requirement_of({name: tuple(tensor.shape) for name, tensor in parts.items()})
    if not fits(required, tuple(weight.shape)):
        raise ValueError(f"the weight has the shape {tuple(weight.shape)}, which does not fit {required}")
    parts = {name: tensor.to(weight.device, torch.float32) for name, tensor in parts.items()}
    base = weight.float()
    delta = _delta(parts, base, rank)
    if delta is None:
        return None
    if delta.ndim == base.ndim == 4 and (delta.shape[1], base.shape[1]) == (4, 9):
        delta = pad(delta, (0, 0, 0, 0, 0, 5))  # the mask channels of an inpainting UNet, as in A1111
    delta = delta.reshape(base.shape)
    return _decomposed(parts, base, delta) if {"dora_scale", "magnitude"} & parts.keys() else delta


def _delta(parts: Parts, base: Tensor, rank: int | None) -> Tensor | None:
    if "down" in parts:
        return _scaled(_low_rank(parts, rank), _scale(parts, parts["down"].shape[0]))
    if "hada_w1_a" in parts:
        return _scaled(_hadamard(parts), _scale(parts, parts["hada_w1_b"].shape[0]))
    if "diff" in parts:
        return parts["diff"]
    if "w_norm" in parts:
        return parts["w_norm"]
    if "on_input" in parts:
        return _rescaled_activations(parts, base)
    if "oft_blocks" in parts or "oft_diag" in parts:
        return _rotated(parts, base) - base
    if "a1" in parts:
        return _generalized(parts, base)
    return None if "diff_b" in parts else _kronecker(parts)


def _scale(parts: Parts, rank: int) -> float:
    if "scale" in parts:
        return float(parts["scale"])
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


def _decomposed(parts: Parts, base: Tensor, delta: Tensor) -> Tensor:
    """DoRA: the changed weight, rescaled to the learned magnitudes, minus the weight.

    The magnitudes belong to the outputs (DoRA's paper, PEFT, and LyCORIS with ``wd_on_output``) or to the inputs (LyCORIS
    and A1111), as the shape of the tensor says.
    """
    changed = base + delta
    magnitude = parts.get("dora_scale", parts.get("magnitude"))
    assert magnitude is not None
    outputs = base.shape[0]
    on_output = "magnitude" in parts or magnitude.shape[:1] == (outputs,) != magnitude.shape[1:2]
    axis = 0 if on_output else 1
    others = [dimension for dimension in range(base.ndim) if dimension != axis]
    norm = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
    return changed * (magnitude.reshape(norm.shape) / norm) - base


def _rotated(parts: Parts, base: Tensor) -> Tensor:
    """OFT: blocks of outputs, each multiplied by an orthogonal matrix; with four dimensions, BOFT's butterfly."""
    blocks = parts.get("oft_blocks")
    if blocks is None:
        turned = _turned(parts["oft_diag"], base)  # LyCORIS' first form has the matrices themselves
    else:
        rotations = _cayley(blocks, _constraint(parts, base.shape[0]))
        turned = _butterfly(rotations, base) if rotations.ndim == 4 else _turned(rotations, base)
    if "rescale" in parts:
        turned = turned * parts["rescale"].reshape(-1, *[1] * (base.ndim - 1))
    return turned


def _constraint(parts: Parts, outputs: int) -> float:
    """Limit of the norm of all blocks; kohya and LyCORIS keep it as ``alpha``. 0: none."""
    return float(parts["alpha"]) * outputs if "alpha" in parts else 0.0


def _cayley(blocks: Tensor, limit: float) -> Tensor:
    """Orthogonal matrices by Cayley's transform of the skew-symmetric part."""
    skew = blocks - blocks.transpose(-1, -2)
    if limit:
        norm = torch.linalg.vector_norm(skew)
        skew = skew * ((norm.clamp(max=limit) + 1e-8) / (norm + 1e-8))
    eye = torch.eye(blocks.shape[-1], device=blocks.device)
    return (eye + skew) @ torch.linalg.inv(eye - skew)


def _turned(rotations: Tensor, base: Tensor) -> Tensor:
    number, size, _size = rotations.shape
    blocks = base.reshape(number, size, -1)
    return torch.einsum("knm,knx->kmx", rotations, blocks).reshape(base.shape)


def _butterfly(rotations: Tensor, base: Tensor) -> Tensor:
    size = rotations.shape[-1]
    turned = base.flatten(1)
    width = turned.shape[1]
    for level, rotation in enumerate(rotations):
        half = 2**level * (size // 2)
        mixed = turned.reshape(-1, 2, half, width).transpose(1, 2).reshape(-1, size, width)
        mixed = torch.einsum("bij,bjx->bix", rotation, mixed)
        turned = mixed.reshape(-1, half, 2, width).transpose(1, 2).reshape(turned.shape)
    return turned.reshape(base.shape)


def _rescaled_activations(parts: Parts, base: Tensor) -> Tensor:
    """(IA)³: a learned factor for each input or output. The file says of which; their number, where it is not square."""
    outputs, inputs = base.shape[0], base.shape[1] if base.ndim > 1 else 0
    axis = 1 if parts["weight"].numel() != outputs or (bool(parts["on_input"]) and outputs == inputs) else 0
    shape = [1] * base.ndim
    shape[axis] = base.shape[axis]
    return base * parts["weight"].reshape(shape)


def _generalized(parts: Parts, base: Tensor) -> Tensor:
    """GLoRA: W A + B, with A and B of low rank.

    LyCORIS has written the factors in two orders. A1111 reads the older one only, and does not scale it by alpha.
    """
    a1, a2, b1, b2 = (parts[name] for name in ("a1", "a2", "b1", "b2"))
    inputs = base.shape[1]
    if a1.shape[0] == inputs and a2.shape[1] == inputs:
        product = torch.einsum("oi...,ij,jk->ok...", base, a1.flatten(1), a2.flatten(1))
        core = {"mid": parts["bm"]} if "bm" in parts else {}
        added = _low_rank({"up": b1, "down": b2, **core}, None)
        return (product + added.reshape(base.shape)) * _scale(parts, a1.shape[1])
    product = torch.einsum("oi...,ij,jk->ok...", base, a2.flatten(1), a1.flatten(1))
    return product + (b2.flatten(1) @ b1.flatten(1)).reshape(base.shape)
