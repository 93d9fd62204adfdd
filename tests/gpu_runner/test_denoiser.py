import pytest
import torch

from gpu_runner.denoiser import Guidance, Question, denoise
from gpu_runner.models import ModelStore


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34).get(file)


def question(seed, scale=7.0, sigma=3.0, tokens=77):
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randn(2, tokens, 64, generator=generator)
    x = torch.randn(4, 8, 8, generator=generator) * sigma
    return Question(x, sigma, 500.5, Guidance(texts[0], texts[1], scale))


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
    swapped = Guidance(asked.guidance.negative, asked.guidance.positive, 1.0)
    alone = Question(asked.x, asked.sigma, asked.timestep, swapped)
    torch.testing.assert_close(
        denoise(checkpoint, [asked]), denoise(checkpoint, [alone]), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_gives_the_clean_latent_back(prediction_type):
    """With noise e in a variance-preserving x = a·clean + s·e, v is a·e - s·clean."""
    clean, noise, sigma = torch.randn(4, 8, 8), torch.randn(4, 8, 8), 2.5
    scale = (1 + sigma**2) ** 0.5
    answer = noise if prediction_type == "epsilon" else (noise - sigma * clean) / scale

    class Perfect:
        class unet:
            dtype = torch.float32

            def __new__(cls, x, timesteps, **_options):
                torch.testing.assert_close(x[0], (clean + sigma * noise) / scale)
                return (answer.expand_as(x),)

    Perfect.prediction_type = prediction_type
    texts = torch.zeros(77, 64)
    asked = Question(clean + sigma * noise, sigma, 700.0, Guidance(texts, texts, 1.0))
    torch.testing.assert_close(denoise(Perfect, [asked])[0], clean, atol=1e-5, rtol=1e-5)
