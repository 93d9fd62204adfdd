"""Modules of diffusion transformers in the names of LoRA files, and where they are in the classes of diffusers. No torch.

Trainers write the authors' names (kohya, ai-toolkit, ComfyUI) or those of diffusers (PEFT), with dots or underscores, after
one of several prefixes. A fused projection of the authors is several modules in diffusers; each takes some rows of the
change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from .key_map import Rule
from .recognition import TRANSFORMERS

PREFIXES = re.compile(
    r"^(?:base_model_model_|lora_unet_|lora_transformer_|lycoris_|model_diffusion_model_|diffusion_model_|transformer_(?!blocks_)|unet_)+"
)


@dataclass(frozen=True)
class LoraTarget:
    """A module of diffusers. ``part``: its place among the ``parts`` of a fused module, whose rows follow one another.

    ``swap``: the halves of the rows change places.
    """

    module: str
    part: int = 0
    parts: int = 1
    swap: bool = False


@dataclass(frozen=True)
class _Pattern:
    pattern: re.Pattern[str]
    rule: Rule
    stack: str  # start of the names in diffusers; empty at the top
    part: int | None  # of the rule, if the file has diffusers' names; None for the authors' names


def lora_targets(family: str, path: str, blocks: int) -> tuple[LoraTarget, ...]:
    """Where the change of a module belongs; empty if the family has no such module.

    ``path``: as in the file, with dots or underscores. ``blocks``: number of blocks of the checkpoint, whose last one
    may differ.
    """
    flat = _flat(path)
    for each in _patterns(family):
        if found := each.pattern.fullmatch(flat):
            block = found["block"] if "block" in each.pattern.groupindex else None
            start = f"{each.stack}.{block}." if block is not None else ""
            return _targets(each, start, is_last=block is not None and int(block) + 1 == blocks)
    return ()


def _targets(each: _Pattern, start: str, *, is_last: bool) -> tuple[LoraTarget, ...]:
    names = each.rule.diffusers
    if each.part is not None:
        return (LoraTarget(f"{start}{names[each.part]}"),)
    swap = each.rule.swap == "always" or (each.rule.swap == "last" and is_last)
    return tuple(LoraTarget(f"{start}{name}", part, len(names), swap) for part, name in enumerate(names))


def lora_families(paths: Collection[str]) -> tuple[str, ...]:
    """Families that have the most of these modules, in the order of ``TRANSFORMERS``; empty if none has any."""
    flat = [_flat(path) for path in paths]
    found = {
        transformer.family: sum(_has(transformer.family, path) for path in flat)
        for transformer in TRANSFORMERS
    }
    most = max(found.values(), default=0)
    return tuple(family for family, count in found.items() if count == most) if most else ()


def _has(family: str, flat: str) -> bool:
    return any(each.pattern.fullmatch(flat) for each in _patterns(family))


def _flat(path: str) -> str:
    return PREFIXES.sub("", path.replace(".", "_"))


@cache
def _patterns(family: str) -> tuple[_Pattern, ...]:
    transformer = next(each for each in TRANSFORMERS if each.family == family)
    return tuple(_all_patterns(transformer.key_map.top, "", "")) + tuple(
        pattern
        for stack in transformer.key_map.stacks
        for pattern in _all_patterns(stack.rules, stack.original, stack.diffusers)
    )


def _all_patterns(rules: tuple[Rule, ...], original: str, diffusers: str) -> Iterator[_Pattern]:
    for rule in rules:
        yield _Pattern(_pattern(original, rule.original), rule, diffusers, None)
        for part, name in enumerate(rule.diffusers):
            # Files leave the index of "to_out.0" out at times.
            for alias in dict.fromkeys((name, name.removesuffix(".0"))):
                yield _Pattern(_pattern(diffusers, alias), rule, diffusers, part)


def _pattern(stack: str, module: str) -> re.Pattern[str]:
    start = rf"{_escaped(stack)}_(?P<block>\d{{1,4}})_" if stack else ""
    return re.compile(f"{start}{_escaped(module)}")


def _escaped(name: str) -> str:
    return re.escape(name.replace(".", "_"))
