"""What an attempt of a job runs with: versions and device. They decide whether another run gives the same pixels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .request_parts.values import StrictModel

Fact = Annotated[str, Field(max_length=200)]
Facts = Annotated[dict[Fact, Fact], Field(max_length=64)]


class Environment(StrictModel):
    """Versions and device of a runner."""

    version: Fact = Field(description="Of the runner's own code.")
    protocol: int = Field(ge=1)
    device: Fact
    packages: Facts = Field(default={}, description="Versions of the libraries that compute the image.")
    settings: Facts = Field(
        default={}, description="Precision, number of CPU threads, CUDA version, and so on."
    )

    def facts(self) -> dict[str, str]:
        """All values by name, such as ``packages.torch``."""
        parts = {"packages": self.packages, "settings": self.settings}
        return {"version": self.version, "protocol": str(self.protocol), "device": self.device} | {
            f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()
        }
