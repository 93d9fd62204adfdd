from dataclasses import replace

import pytest
import torch

from gpu_runner.models.store import ModelStore
from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.diffusion.unet import denoise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34).get(file)


def guidance_of(positive, negative, scale):
    return Guidance(((Conditioning(positive), 1.0),), Conditioning(negative), scale)


def make_input(seed, scale=7.0, sigma=3.0, tokens=77):
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randn(2, tokens, 64, generator=generator)
    x = torch.randn(4, 8, 8, generator=generator) * sigma
    return DenoiseInput(x, sigma, 500.5, guidance_of(texts[0], texts[1], scale))


def test_guidance_scale_1_uses_the_positive_text_only(checkpoint):
    plain, nearly = make_input(1, scale=1.0), make_input(1, scale=1.0 + 1e-6)
    assert (plain.rows, nearly.rows) == (1, 2)
    torch.testing.assert_close(
        denoise(checkpoint, [plain]), denoise(checkpoint, [nearly]), atol=1e-4, rtol=1e-4
    )


def test_guidance_scale_0_equals_the_negative_text_alone(checkpoint):
    denoise_input = make_input(1, scale=0.0)
    swapped = Guidance(((denoise_input.guidance.negative, 1.0),), denoise_input.guidance.negative, 1.0)
    alone = DenoiseInput(denoise_input.x, denoise_input.sigma, denoise_input.timestep, swapped)
    torch.testing.assert_close(
        denoise(checkpoint, [denoise_input]), denoise(checkpoint, [alone]), atol=1e-4, rtol=1e-4
    )


def composed(seed, *weights, scale=5.0, lengths=(77, 154, 231)):
    """Input with several positive texts, of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    texts = [
        Conditioning(torch.randn(length, 64, generator=generator))
        for length, _ in zip(lengths, weights, strict=False)
    ]
    negative = Conditioning(torch.randn(77, 64, generator=generator))
    x = torch.randn(4, 8, 8, generator=generator) * 3
    return DenoiseInput(x, 3.0, 500.5, Guidance(tuple(zip(texts, weights, strict=True)), negative, scale))


def test_composed_prompts_add_their_weighted_differences(checkpoint):
    """Denoised = uncond + sum of (cond_i - uncond) * weight_i * scale."""
    denoise_input = composed(1, 1.0, -0.5)
    (estimate,) = denoise(checkpoint, [denoise_input])
    first, second, negative = (
        denoise(checkpoint, [replace(denoise_input, guidance=guidance_of(text.context, text.context, 1.0))])[
            0
        ]
        for text in denoise_input.guidance.conditionings
    )
    expected = negative + 5.0 * ((first - negative) - 0.5 * (second - negative))
    torch.testing.assert_close(estimate, expected, atol=1e-4, rtol=1e-4)


def test_the_negative_row_is_skipped_where_the_positive_weights_sum_to_1():
    assert composed(1, 0.25, scale=4.0).rows == 1
    assert composed(1, 0.5, 0.5, scale=1.0).rows == 2
    assert composed(1, 1.0, 0.5, scale=1.0).rows == 3


def test_guidance_without_negative_has_the_positive_row_only():
    without_negative = make_input(1).guidance.without_negative()
    assert without_negative.conditionings == (without_negative.positives[0][0],)


def test_texts_of_different_lengths_give_the_same_in_one_call(checkpoint):
    inputs = [
        make_input(1),
        composed(2, 1.0, 0.7, 0.3),
        make_input(3, tokens=154),
        composed(4, 0.5, 0.5, scale=1),
    ]
    together = denoise(checkpoint, inputs)
    for one, estimate in zip(inputs, together, strict=True):
        torch.testing.assert_close(estimate, denoise(checkpoint, [one])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_returns_the_clean_latent(prediction_type):
    """With noise e in a variance-preserving x = a·clean + s·e, v is a·e - s·clean."""
    clean, noise, sigma = torch.randn(4, 8, 8), torch.randn(4, 8, 8), 2.5
    scale = (1 + sigma**2) ** 0.5
    prediction = noise if prediction_type == "epsilon" else (noise - sigma * clean) / scale

    class Perfect:
        dtype = torch.float32

        class unet:
            class config:
                addition_embed_type = None

            def __new__(cls, x, **_arguments):
                torch.testing.assert_close(x[0], (clean + sigma * noise) / scale)
                return (prediction.expand_as(x),)

    Perfect.prediction_type = prediction_type
    texts = torch.zeros(77, 64)
    denoise_input = DenoiseInput(clean + sigma * noise, sigma, 700.0, guidance_of(texts, texts, 1.0))
    torch.testing.assert_close(denoise(Perfect, [denoise_input])[0], clean, atol=1e-5, rtol=1e-5)


def test_returns_unguided_adds_the_estimate_of_the_negative_text(checkpoint):
    """Even at scale 1, where the negative text has no effect on the guided estimate."""
    denoise_input = make_input(1, scale=1.0)
    separate = DenoiseInput(
        denoise_input.x,
        denoise_input.sigma,
        denoise_input.timestep,
        denoise_input.guidance.with_unguided(1.0),
    )
    [result] = denoise(checkpoint, [separate])
    unguided = DenoiseInput(
        denoise_input.x,
        denoise_input.sigma,
        denoise_input.timestep,
        denoise_input.guidance.with_unguided(0.0),
    )
    torch.testing.assert_close(result.denoised, denoise(checkpoint, [denoise_input])[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        result.unguided, denoise(checkpoint, [unguided])[0].denoised, atol=1e-4, rtol=1e-4
    )
