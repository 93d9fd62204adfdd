"""Facts of the model families."""

import math

import pytest

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.families.family import Shift
from gpu_runner.protocol.families.registry import FAMILIES


def test_shift_of_flux_is_that_of_its_reference_code_at_1024_pixels():
    line = Shift(line=((256, 0.5), (4096, 1.15)))
    assert line.of(4096, 20) == pytest.approx(math.exp(1.15))
    assert line.of(256, 20) == pytest.approx(math.exp(0.5))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_family_names_samplers_and_schedulers_of_the_catalog(family):
    assert all(map(sampler_catalog.is_sampler, family.samplers or ()))
    assert all(map(sampler_catalog.is_scheduler, family.schedulers or ()))
    assert family.allows_sampler(family.defaults.sampler)
    assert family.allows_scheduler(family.defaults.scheduler)
    assert family.defaults.side % family.latents.multiple == 0


def test_latents_of_an_image_of_1024_pixels():
    shapes = {name: family.latents.shape(1024, 1024) for name, family in FAMILIES.items()}
    assert shapes["sdxl"] == (4, 128, 128)
    assert shapes["sd3"] == (16, 128, 128)
    assert shapes["flux2"] == (128, 64, 64)
    assert {FAMILIES[name].latents.tokens(1024, 1024) for name in ("sd3", "flux1", "flux2")} == {4096}
