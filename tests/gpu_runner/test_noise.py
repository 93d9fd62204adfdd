import torch

from gpu_runner.noise import NoiseStream

CPU = torch.device("cpu")


def test_one_stream_goes_on_where_it_stopped():
    stream = NoiseStream(7, (4, 2, 2), CPU)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        assert torch.equal(stream.draw(), torch.randn((4, 2, 2), generator=generator))


def test_the_largest_seed_is_a_seed():
    assert NoiseStream(2**32 - 1, (4, 2, 2), CPU).draw().isfinite().all()
