"""A step reads no value back from the device: such a read would let the host wait for all queued kernels.

Tensors on the meta device have no values, so that every read raises.
"""

from __future__ import annotations

import pytest
import torch

from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation.warm_up import buckets
from gpu_runner.networks.diffusion import unet
from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.networks.flow import transformer
from gpu_runner.protocol.catalogs import samplers as catalog
from gpu_runner.samplers import FLOW_SAMPLERS, SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream
from tests.support import flow_models
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint

META = torch.device("meta")
READS_ITS_ERROR = {"DPM adaptive"}  # its next step depends on the error of the last one


@pytest.mark.parametrize("name", flow_models.WRITERS)
def test_transformers_read_nothing_back(checkpoints, name):
    checkpoint = checkpoints[name].moved(META)
    for batch in buckets(checkpoint, side=64):
        for denoised in transformer.denoise(checkpoint, batch):
            assert denoised.device == META
            assert denoised.shape == batch[0].x.shape


def test_unet_reads_nothing_back():
    store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
    checkpoint = store.checkpoint(demo_checkpoint()).moved(META)
    for batch in buckets(checkpoint, side=64):
        assert all(denoised.device == META for denoised in unet.denoise(checkpoint, batch))


@pytest.mark.parametrize(
    ("samplers", "sigmas"),
    [(SAMPLERS, [14.6, 5.0, 2.0, 1.0, 0.4, 0.0]), (FLOW_SAMPLERS, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0])],
    ids=["diffusion", "flow"],
)
def test_samplers_read_nothing_back(samplers, sigmas):
    shape = (4, 8, 8)
    for name, sampler in samplers.items():
        if name in READS_ITS_ERROR:
            continue
        options = SamplerOptions(schedule=tuple(sigmas))
        guided_apart = catalog.sampler(name).guided_apart
        steps = sampler(torch.empty(shape, device=META), sigmas, NoiseStream(1, shape, META), options)
        assert result_of(steps, guided_apart).device == META, name


def result_of(steps, guided_apart: bool) -> torch.Tensor:
    """Answer each call of a sampler with its own x."""
    prediction = None
    while True:
        try:
            x, _sigma = steps.send(prediction)
        except StopIteration as end:
            return end.value
        prediction = GuidedAndUnguided(x, x) if guided_apart else x
