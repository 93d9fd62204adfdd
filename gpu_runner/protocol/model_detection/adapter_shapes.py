"""Shapes that the modules of an adapter require of the weights they change. No torch.

The formulas are those of ``gpu_runner.models.lora.deltas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .adapter_layouts import Adapter, Module
from .safetensors_header import Shape, Shapes

Parts = Mapping[str, Shape]
Requirement = dict[str, Any]  # JSON


def requirements(adapter: Adapter, shapes: Shapes) -> dict[Module, Requirement]:
    """The requirement of each module. Raises ValueError if the tensors of one do not fit each other."""
    found = {}
    for module, roles in adapter.modules.items():
        try:
            found[module] = requirement_of({role: shapes[name] for role, name in roles.items()})
        except (IndexError, ValueError):
            raise ValueError(
                f"the tensors of {module.start}{module.name} do not fit each other"[:120]
            ) from None
    return found


def requirement_of(parts: Parts) -> Requirement:
    """What the tensors of one module, by role, require. Raises ValueError or IndexError if they do not fit each other."""
    found: Requirement = {}
    if "on_input" in parts:
        found["factors"] = prod(parts["weight"])
    elif "oft_blocks" in parts or "oft_diag" in parts:
        found["rows"] = _rows(parts["oft_blocks" if "oft_blocks" in parts else "oft_diag"])
        if "rescale" in parts:
            _equal(prod(parts["rescale"]), found["rows"])
    elif "a1" in parts:
        found["mixed"] = [_matrix(parts[name]) for name in ("a1", "a2", "b1", "b2")]
    elif "diff_b" not in parts or "diff" in parts:
        found["delta"] = list(_delta(parts))
    magnitude = parts.get("dora_scale", parts.get("magnitude"))
    if magnitude is not None:
        found |= {"magnitude": list(magnitude), "of_outputs": "magnitude" in parts}
    bias = parts.get("diff_b", parts.get("b_norm"))
    return found if bias is None else found | {"bias": prod(bias)}


def _delta(parts: Parts) -> Shape:
    """Shape of the delta of the weight."""
    if "down" in parts:
        return _low_rank(parts)
    if "hada_w1_a" in parts:
        first, second = (
            _product(parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}")) for n in (1, 2)
        )
        _equal(first, second)
        return first
    if "diff" in parts or "w_norm" in parts:
        return parts["diff" if "diff" in parts else "w_norm"]
    return _kronecker(parts)


def _low_rank(parts: Parts) -> Shape:
    down, up = parts["down"], parts["up"]
    if not down[0]:
        raise ValueError("the rank is 0")
    core = parts.get("mid")
    if core is None:
        _equal(prod(up[1:]), down[0])
        return (up[0], *down[1:])
    _equal((prod(up[1:]), down[0]), core[:2])
    return (up[0], prod(down[1:]), core[2], core[3])


def _product(a: Shape, b: Shape, core: Shape | None) -> Shape:
    if core is None:
        _equal(a[1], b[0])
        return (a[0], *b[1:])
    _equal((a[0], b[0]), core[:2])
    return (a[1], b[1], core[2], core[3])


def _kronecker(parts: Parts) -> Shape:
    first, second = _factor(parts, 1), _factor(parts, 2)
    if len(second) == 4:
        first = (*first[:2], 1, 1)
    _equal(len(first), len(second))
    if not first:
        raise ValueError("the factors have no dimensions")
    return tuple(one * other for one, other in zip(first, second, strict=True))


def _factor(parts: Parts, number: int) -> Shape:
    name = f"lokr_w{number}"
    if name in parts:
        return parts[name]
    return _product(parts[f"{name}_a"], parts[f"{name}_b"], parts.get(f"lokr_t{number}"))


def _rows(blocks: Shape) -> int:
    """Outputs that square blocks turn, of the shape (blocks, size, size), or (levels, blocks, size, size)."""
    if len(blocks) not in (3, 4) or blocks[-1] != blocks[-2]:
        raise ValueError("the blocks are not square")
    return blocks[-3] * blocks[-2]


def _matrix(shape: Shape) -> list[int]:
    return [shape[0], prod(shape[1:])]


def _equal(one: object, other: object) -> None:
    if one != other:
        raise ValueError(f"{one} is not {other}")


def fits(requirement: Requirement, weight: Shape) -> bool:
    """Whether a weight of this shape can be changed."""
    outputs, inputs = weight[0], weight[1] if len(weight) > 1 else 0
    if "delta" in requirement and not _has_elements(requirement["delta"], weight):
        return False
    if "rows" in requirement and requirement["rows"] != outputs:
        return False
    if "factors" in requirement and requirement["factors"] not in (outputs, inputs):
        return False
    if "mixed" in requirement and not _mixes(weight, *requirement["mixed"]):
        return False
    if "magnitude" in requirement:
        shape = requirement["magnitude"]
        if len(weight) < 2:
            return False
        of_outputs = requirement["of_outputs"] or shape[:1] == [outputs] != shape[1:2]
        if prod(shape) != (outputs if of_outputs else inputs):
            return False
    return requirement.get("bias", outputs) == outputs


def _has_elements(delta: list[int], weight: Shape) -> bool:
    if not delta:
        return False
    if len(delta) == len(weight) == 4 and (delta[1], weight[1]) == (4, 9):
        delta = [delta[0], 9, *delta[2:]]  # the mask channels of an inpainting UNet do not change
    return delta[0] == weight[0] and prod(delta) == prod(weight)  # 1x1 convolutions may be linear layers


def _mixes(weight: Shape, a1: list[int], a2: list[int], b1: list[int], b2: list[int]) -> bool:
    """GLoRA: W A + B, with the factors in one of two orders."""
    inputs, elements = weight[1] if len(weight) > 1 else 0, prod(weight)
    if (a1[0], a2[1]) == (inputs, inputs):
        return a1[1] == a2[0] and b1[1] == b2[0] and b1[0] * b2[1] == elements
    return (
        (a2[0], a1[1]) == (inputs, inputs) and a2[1] == a1[0] and b2[1] == b1[0] and b2[0] * b1[1] == elements
    )
