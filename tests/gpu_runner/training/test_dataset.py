from __future__ import annotations

from itertools import islice

import pytest
import torch

from gpu_runner.training.dataset import Example, batches, bucket_of


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((4000, 3000), (576, 448)),
        ((3000, 4000), (448, 576)),
        ((512, 512), (512, 512)),
        ((10_000, 100), (1024, 256)),
        ((10, 10), (512, 512)),
    ],
)
def test_bucket_has_the_images_aspect_ratio_and_about_the_wanted_pixels(size, bucket):
    assert bucket_of(size, 512 * 512) == bucket


def examples(*sizes: tuple[int, int]) -> list[Example]:
    return [Example(index, size, torch.zeros(4, 1, 1)) for index, size in enumerate(sizes)]


WIDE, TALL = (576, 448), (448, 576)


def test_batches_hold_images_of_one_size_and_every_image_occurs_in_each_epoch():
    data = examples(WIDE, TALL, WIDE, TALL, WIDE)
    epoch = list(islice(batches(data, 2, seed=1), 3))
    assert all(len({example.size for example in batch}) == 1 for batch in epoch)
    assert {example.index for batch in epoch for example in batch} == {0, 1, 2, 3, 4}


def test_order_depends_on_the_seed_only():
    def order(seed: int) -> list[list[int]]:
        data = examples(*[WIDE] * 6)
        return [[example.index for example in batch] for batch in islice(batches(data, 2, seed), 9)]

    assert order(1) == order(1)
    assert order(1) != order(2)
