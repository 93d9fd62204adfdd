"""What a runner with torch tells about itself, so that an image can be drawn again under the same conditions."""

from __future__ import annotations

import torch

from gpu_runner.protocol import PROTOCOL_VERSION, Environment
from gpu_runner.server.versions import library_versions, own_version

from . import devices


def environment_of(device: torch.device, dtype: torch.dtype) -> Environment:
    """Versions, device, and the settings that change the last bits of a result."""
    return Environment(
        version=own_version(),
        protocol=PROTOCOL_VERSION,
        device=devices.describe(device),
        packages=library_versions() | {"torch": torch.__version__},
        settings={"dtype": str(dtype).removeprefix("torch."), **_settings(device)},
    )


def _settings(device: torch.device) -> dict[str, str]:
    if device.type != "cuda":
        capability = torch.backends.cpu.get_cpu_capability()
        return {"cpu_capability": capability, "cpu_threads": str(torch.get_num_threads())}
    return {
        "cuda": torch.version.cuda or "",
        "cudnn": str(torch.backends.cudnn.version()),
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
        "tf32": str(torch.backends.cuda.matmul.allow_tf32),
    }
