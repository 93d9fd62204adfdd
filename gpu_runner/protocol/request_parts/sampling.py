"""Options of sigma schedules and samplers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .values import StrictModel

MIN_SIGMA_MAX = 0.5  # well above sigma_min of every supported model (about 0.03)


class SigmaOverrides(StrictModel):
    """Overrides of a sigma schedule's range and curve, for the schedulers that have them. 0 keeps the default."""

    sigma_min: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    sigma_max: float = Field(default=0.0, ge=0, le=10_000, allow_inf_nan=False)
    rho: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    beta_alpha: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)
    beta_beta: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def sigma_max_exceeds_sigma_min(self) -> SigmaOverrides:
        lower_bound = max(self.sigma_min, MIN_SIGMA_MAX)
        if self.sigma_max and self.sigma_max <= lower_bound:
            raise ValueError(
                f"sigma_max must be 0 or greater than {lower_bound:g}, the larger of sigma_min and {MIN_SIGMA_MAX}"
                f" (got {self.sigma_max:g})"
            )
        return self


class UniPC(StrictModel):
    """Options of the UniPC sampler, as in A1111's settings."""

    variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"
    skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    order: int = Field(default=3, ge=1, le=9)
    lower_order_final: bool = True
