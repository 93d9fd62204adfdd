"""A flow-matching image is the same alone or among strangers' images, whatever their settings."""

import pytest

from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import Denoise
from tests.support.flow_models import WRITERS

TOLERANCE = 1e-5
pytestmark = pytest.mark.slow
STRANGERS = (
    {"prompt": "a red circle", "guidance_scale": 4.5, "seed": 1},
    {"prompt": "a blue square on a green table", "guidance_scale": 1.0, "seed": 2, "num_inference_steps": 5},
    {"prompt": "", "negative_prompt": "red", "seed": 3, "sampler": "DPM++ 2M", "scheduler": "Karras"},
    {"prompt": "a cat " * 60, "guidance_scale": 3.0, "seed": 4, "sampler": "Euler a"},
    {
        "prompt": "a star AND a dog:0.5",
        "guidance_scale": 6.0,
        "seed": 5,
        "sampler": "Heun",
        "scheduler": "Beta",
    },
    {"prompt": "a [red:green:0.5] star", "seed": 6, "sampler": "UniPC", "scheduler": "Simple"},
    {
        "prompt": "a dog",
        "negative_prompt": "a cat",
        "seed": 7,
        "sampler": "DPM++ 2M SDE",
        "scheduler": "Normal",
    },
    {"prompt": "a triangle", "seed": 8, "sampler": "LCM", "guidance_scale": 1.0},
)


# schnell is FLUX.1 with a shorter window; editing models are in test_references.py.
LIKE_OTHERS = ("schnell", "kontext", "edit", "edit_plus", "edit_2511")


@pytest.mark.parametrize("family", [name for name in WRITERS if name not in LIKE_OTHERS])
def test_an_image_does_not_depend_on_its_batch(checkpoints, draw_latents, request_of, family):
    requests = [request_of(**fields) for fields in STRANGERS]
    sizes, execute = [], batched_calls.execute

    def counting(operations):
        sizes.append(len(operations) if isinstance(operations[0], Denoise) else 0)
        return execute(operations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batched_calls, "execute", counting)
        together = draw_latents(checkpoints[family], requests)
    assert max(sizes) >= 4
    for request, latent in zip(requests, together, strict=True):
        alone = draw_latents(checkpoints[family], [request])[0]
        assert (alone - latent).abs().max() < TOLERANCE, request.prompt
        assert alone.std() > 0.1
