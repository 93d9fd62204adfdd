"""``python -m tests.support.upscaler_table`` writes the scan's table of upscaler architectures from the installed spandrel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpu_runner.models.loaders.spandrel import EXCLUDED, spandrel
from gpu_runner.protocol.model_detection import upscaler_architectures

OTHER_PURPOSES = {"GFPGAN", "CodeFormer", "RestoreFormer", "LaMa", "MAT"}  # faces, inpainting


def table() -> dict[str, Any]:
    """By architecture, the names of tensors that a file must have, as nested ["all" or "any", …]."""
    registered = {kind.architecture.id: kind.architecture for kind in spandrel.MAIN_REGISTRY}
    ids = sorted(registered.keys() - OTHER_PURPOSES - set(EXCLUDED))
    return {name: _nested(vars(registered[name])["_detect"]) for name in ids}


def _nested(condition: Any) -> Any:
    if isinstance(condition, str):
        return condition
    parts = vars(condition)
    return [parts["_kind"], *map(_nested, parts["_keys"])]


if __name__ == "__main__":
    path = Path(upscaler_architectures.__file__).with_suffix(".json")
    path.write_text(json.dumps(table(), indent=1) + "\n")
