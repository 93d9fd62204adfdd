"""What is checked on, drawn on, and written into output files."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from .values import Fraction, Name, StrictModel

NsfwPolicy = Literal["off", "flag", "blur", "blank", "refuse"]  # in order of strictness
NSFW_POLICIES: tuple[NsfwPolicy, ...] = get_args(NsfwPolicy)


class Nsfw(StrictModel):
    """NSFW check of every output, and the policy that is applied to detected ones."""

    policy: NsfwPolicy = "off"
    model: Name = ""  # empty: the default detector
    threshold: Fraction | None = None  # minimum score; None: the detector's default

    @property
    def hides(self) -> bool:
        """Whether the policy withholds detected images, and therefore previews too."""
        return self.policy in ("blur", "blank", "refuse")


class Label(StrictModel):
    """Visible text in a corner of every output. Drawn by the platform, not by the runner."""

    text: str = Field(min_length=1, max_length=200)
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    opacity: Fraction = 0.3


class Mark(StrictModel):
    """Metadata of the output file, stored as a PNG text chunk."""

    key: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,79}$")
    text: str = Field(max_length=8000)
