"""Noise streams: seeds, variations, seed resize, ENSD and the NV source."""

import pytest
import torch

from gpu_runner.protocol import MAX_SEED, MIN_SEED, GenerationRequest
from gpu_runner.samplers.noise import NoiseStream, Variation, slerp
from gpu_runner.samplers.philox import Philox

CPU = torch.device("cpu")
SHAPE = (4, 8, 8)


def first(seed=7, shape=SHAPE, **options):
    return NoiseStream(seed, shape, CPU, **options).draw()


def plain(seed, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_draws_follow_in_one_stream():
    stream = NoiseStream(7, SHAPE, CPU)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        assert torch.equal(stream.draw(), torch.randn(SHAPE, generator=generator))


@pytest.mark.parametrize("source", ["cpu", "nv"])
@pytest.mark.parametrize("seed", [2**53, MAX_SEED, MIN_SEED, -2])
@pytest.mark.parametrize("delta", [0, 31337])
def test_every_seed_of_torch_is_accepted(source, seed, delta):
    stream = NoiseStream(seed, SHAPE, CPU, source=source, delta=delta)
    assert stream.draw().isfinite().all()
    assert stream.draw().isfinite().all()
    assert stream.brownian([10.0, 1.0, 0.0]).between(10.0, 5.0).isfinite().all()


def test_cpu_source_uses_the_lowest_32_bits_of_a_seed():
    assert torch.equal(first(2**32 + 7), first(7))
    assert torch.equal(first(-2), first(2**32 - 2))


def test_nv_source_uses_all_64_bits_of_a_seed():
    """The key of Philox is the seed, its low word first."""
    beyond = GenerationRequest(seed=2**32 - 2, num_images=3, noise_source="nv").seed_of(2)
    assert beyond == 2**32
    assert not torch.equal(first(beyond, source="nv"), first(0, source="nv"))
    assert torch.equal(first(-2, source="nv"), first(2**64 - 2, source="nv"))


def test_nv_source_equals_philox():
    stream, gpu = NoiseStream(3, SHAPE, CPU, source="nv"), Philox(3)
    for _ in range(2):
        assert torch.equal(stream.draw(), torch.from_numpy(gpu.normals(SHAPE)))


def test_a_variation_interpolates_between_the_noise_of_two_seeds():
    torch.testing.assert_close(first(variation=Variation(9, 0.0)), plain(7))
    torch.testing.assert_close(first(variation=Variation(9, 1.0)), plain(9))
    distances = [(first(variation=Variation(9, share / 10)) - plain(7)).norm() for share in range(11)]
    assert distances == sorted(distances)


def test_a_variation_keeps_the_variance():
    large = (4, 64, 64)
    half_way = first(shape=large, variation=Variation(9, 0.5))
    assert half_way.var() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", [SHAPE, (4, 1, 8)])
def test_a_variation_towards_the_same_seed_changes_nothing(shape):
    torch.testing.assert_close(first(shape=shape, variation=Variation(7, 0.4)), plain(7, shape))
    assert slerp(plain(1, shape), -plain(1, shape), 0.5).isfinite().all()


def test_nearly_parallel_latents_are_interpolated_linearly_with_exchanged_weights():
    """As A1111's ``slerp`` does."""
    one = plain(7)
    torch.testing.assert_close(slerp(one, one * 3, 0.25), one * 0.25 + one * 3 * 0.75)


def test_only_the_initial_noise_is_varied():
    varied, usual = NoiseStream(7, SHAPE, CPU, variation=Variation(9, 0.5)), NoiseStream(7, SHAPE, CPU)
    varied.draw(), usual.draw()
    assert torch.equal(varied.draw(), usual.draw())


def test_noise_of_a_smaller_size_is_pasted_into_the_center():
    noise = first(shape=(4, 8, 12), drawn_at=(4, 6))
    assert torch.equal(noise[:, 2:6, 3:9], plain(7, (4, 4, 6)))
    outside = plain(7, (4, 8, 12))
    assert torch.equal(noise[:, :2], outside[:, :2])
    assert torch.equal(noise[:, :, 9:], outside[:, :, 9:])


def test_noise_of_a_larger_size_is_cropped_to_its_center():
    assert torch.equal(first(drawn_at=(12, 16)), plain(7, (4, 12, 16))[:, 2:10, 4:12])


def test_a_delta_starts_a_new_stream_after_the_initial_noise():
    stream = NoiseStream(7, SHAPE, CPU, delta=31337)
    assert torch.equal(stream.draw(), plain(7))
    assert torch.equal(stream.draw(), plain(7 + 31337))


def test_a_stream_is_configured_by_the_request():
    request = GenerationRequest(seed=7, subseed=20, subseed_strength=0.3, noise_source="nv")
    stream = NoiseStream.of(request, 2, SHAPE, CPU)
    expected = first(7, source="nv", variation=Variation(22, 0.3))
    assert torch.equal(stream.draw(), expected)


def test_brownian_noise_depends_on_the_seed():
    one, other = (NoiseStream(seed, SHAPE, CPU).brownian([9.0, 4.0, 0.0]) for seed in (7, 8))
    assert not torch.equal(one.between(9.0, 4.0), other.between(9.0, 4.0))
