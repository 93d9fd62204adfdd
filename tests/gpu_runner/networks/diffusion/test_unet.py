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


def towards(positive, negative, scale):
    return Guidance(((Conditioning(positive), 1.0),), Conditioning(negative), scale)


def question(seed, scale=7.0, sigma=3.0, tokens=77):
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randn(2, tokens, 64, generator=generator)
    x = torch.randn(4, 8, 8, generator=generator) * sigma
    return DenoiseInput(x, sigma, 500.5, towards(texts[0], texts[1], scale))


def test_neighbours_do_not_change_an_estimate(checkpoint):
    questions = [question(1), question(2, scale=1.0), question(3, sigma=0.5), question(4, scale=3.0)]
    together = denoise(checkpoint, questions)
    for one, estimate in zip(questions, together, strict=True):
        torch.testing.assert_close(estimate, denoise(checkpoint, [one])[0], atol=1e-4, rtol=1e-4)


def test_guidance_one_is_the_positive_text_alone(checkpoint):
    plain, nearly = question(1, scale=1.0), question(1, scale=1.0 + 1e-6)
    assert (plain.rows, nearly.rows) == (1, 2)
    torch.testing.assert_close(
        denoise(checkpoint, [plain]), denoise(checkpoint, [nearly]), atol=1e-4, rtol=1e-4
    )


def test_guidance_zero_is_the_negative_text_alone(checkpoint):
    asked = question(1, scale=0.0)
    swapped = Guidance(((asked.guidance.negative, 1.0),), asked.guidance.negative, 1.0)
    alone = DenoiseInput(asked.x, asked.sigma, asked.timestep, swapped)
    torch.testing.assert_close(
        denoise(checkpoint, [asked]), denoise(checkpoint, [alone]), atol=1e-4, rtol=1e-4
    )


def composed(seed, *weights, scale=5.0, lengths=(77, 154, 231)):
    """A question with several positive texts, of several lengths."""
    generator = torch.Generator().manual_seed(seed)
    texts = [
        Conditioning(torch.randn(length, 64, generator=generator))
        for length, _ in zip(lengths, weights, strict=False)
    ]
    negative = Conditioning(torch.randn(77, 64, generator=generator))
    x = torch.randn(4, 8, 8, generator=generator) * 3
    return DenoiseInput(x, 3.0, 500.5, Guidance(tuple(zip(texts, weights, strict=True)), negative, scale))


def test_and_adds_the_pulls_of_its_parts(checkpoint):
    """Denoised = uncond + sum of (cond_i - uncond) * weight_i * scale."""
    asked = composed(1, 1.0, -0.5)
    (estimate,) = denoise(checkpoint, [asked])
    first, second, negative = (
        denoise(checkpoint, [replace(asked, guidance=towards(text.context, text.context, 1.0))])[0]
        for text in asked.guidance.conditionings
    )
    expected = negative + 5.0 * ((first - negative) - 0.5 * (second - negative))
    torch.testing.assert_close(estimate, expected, atol=1e-4, rtol=1e-4)


def test_a_part_that_is_all_of_the_pull_is_guidance_one():
    assert composed(1, 0.25, scale=4.0).rows == 1
    assert composed(1, 0.5, 0.5, scale=1.0).rows == 2
    assert composed(1, 1.0, 0.5, scale=1.0).rows == 3


def test_a_step_without_the_negative_text_is_the_positive_one_alone():
    unopposed = question(1).guidance.unopposed()
    assert unopposed.conditionings == (unopposed.positives[0][0],)


def test_texts_of_different_lengths_share_a_call_and_cannot_tell(checkpoint):
    questions = [
        question(1),
        composed(2, 1.0, 0.7, 0.3),
        question(3, tokens=154),
        composed(4, 0.5, 0.5, scale=1),
    ]
    together = denoise(checkpoint, questions)
    for one, estimate in zip(questions, together, strict=True):
        torch.testing.assert_close(estimate, denoise(checkpoint, [one])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_gives_the_clean_latent_back(prediction_type):
    """With noise e in a variance-preserving x = a·clean + s·e, v is a·e - s·clean."""
    clean, noise, sigma = torch.randn(4, 8, 8), torch.randn(4, 8, 8), 2.5
    scale = (1 + sigma**2) ** 0.5
    answer = noise if prediction_type == "epsilon" else (noise - sigma * clean) / scale

    class Perfect:
        dtype = torch.float32

        class unet:
            class config:
                addition_embed_type = None

            def __new__(cls, x, **_told):
                torch.testing.assert_close(x[0], (clean + sigma * noise) / scale)
                return (answer.expand_as(x),)

    Perfect.prediction_type = prediction_type
    texts = torch.zeros(77, 64)
    asked = DenoiseInput(clean + sigma * noise, sigma, 700.0, towards(texts, texts, 1.0))
    torch.testing.assert_close(denoise(Perfect, [asked])[0], clean, atol=1e-5, rtol=1e-5)


def test_an_answer_apart_brings_the_negative_texts_own_estimate(checkpoint):
    """Even at scale 1, where the negative text has no effect on the other."""
    asked = question(1, scale=1.0)
    apart = DenoiseInput(asked.x, asked.sigma, asked.timestep, asked.guidance.apart_at(1.0))
    [both] = denoise(checkpoint, [apart])
    unguided = DenoiseInput(asked.x, asked.sigma, asked.timestep, asked.guidance.apart_at(0.0))
    torch.testing.assert_close(both.denoised, denoise(checkpoint, [asked])[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        both.unguided, denoise(checkpoint, [unguided])[0].denoised, atol=1e-4, rtol=1e-4
    )
