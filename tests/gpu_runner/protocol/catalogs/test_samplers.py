"""Sampler catalog: name resolution, and completeness of the implementations."""

import pytest

from gpu_runner import samplers
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.schedules import sigmas


@pytest.mark.parametrize(
    ("name", "scheduler", "expected"),
    [
        ("Euler", "", ("Euler", "Automatic")),
        ("DPM++ 2M Karras", "", ("DPM++ 2M", "Automatic")),
        ("DPM++ 2M", "Karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M Karras", "automatic", ("DPM++ 2M", "Automatic")),
        ("LMS Karras", "", ("LMS", "Karras")),
        ("Euler a SGMUniform", "", ("Euler a", "SGM Uniform")),
        ("Euler Uniform", "", ("Euler", "Uniform")),
        ("Euler", "exponential", ("Euler", "Exponential")),
        ("Euler", "no such", ("Euler", "Automatic")),
        ("euler a", "", ("DPM++ 2M", "Automatic")),
        ("k_euler_a", "", ("DPM++ 2M", "Automatic")),
        ("bogus", "", ("DPM++ 2M", "Automatic")),
    ],
)
def test_names_are_resolved_as_in_a1111(name, scheduler, expected):
    assert sampler_catalog.resolve(name, scheduler) == expected


def test_every_sampler_and_scheduler_of_the_catalog_is_implemented():
    assert {sampler.name for sampler in sampler_catalog.SAMPLERS} == set(samplers.SAMPLERS)
    assert {one.label for one in sampler_catalog.SCHEDULERS} == {sampler_catalog.AUTOMATIC, *sigmas.SCHEDULES}
    assert {sampler.automatic for sampler in sampler_catalog.SAMPLERS} <= set(sigmas.SCHEDULES)
