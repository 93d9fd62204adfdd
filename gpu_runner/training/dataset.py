"""The images of a training as cached latents, in buckets of equal size."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from PIL import Image
from torch import Tensor

from gpu_runner.imaging import images
from gpu_runner.networks.diffusion import vae
from gpu_runner.networks.loaded import LoadedCheckpoint

BUCKET_STEP = 64  # pixels; sides are multiples of it, which every UNet supports
MAX_ASPECT = 4.0

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Example:
    """One image of the data set, possibly mirrored."""

    index: int  # in the request
    size: Size
    latent: Tensor  # (4, h, w), scaled


def bucket_of(size: Size, pixels: int) -> Size:
    """The size in multiples of BUCKET_STEP with about ``pixels`` pixels whose aspect ratio is nearest to that of ``size``."""
    aspect = min(max(size[0] / size[1], 1 / MAX_ASPECT), MAX_ASPECT)
    width = max(BUCKET_STEP, round(sqrt(pixels * aspect) / BUCKET_STEP) * BUCKET_STEP)
    height = max(BUCKET_STEP, round(width / aspect / BUCKET_STEP) * BUCKET_STEP)
    while width * height > pixels * 1.25 and max(width, height) > BUCKET_STEP:
        width, height = (width - BUCKET_STEP, height) if width >= height else (width, height - BUCKET_STEP)
    return width, height


def encode_images(
    checkpoint: LoadedCheckpoint, files: Sequence[bytes], pixels: int, *, flip: bool
) -> list[Example]:
    """Scale each image to its bucket, crop the excess and encode it. Raises InvalidImage.

    The latents are not sampled, so that a resumed training has the same examples.
    """
    examples = []
    for index, data in enumerate(files):
        image = images.read(data)
        size = bucket_of(image.size, pixels)
        image = images.resize(image, *size, "crop")
        versions = [image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] if flip else [image]
        for version in versions:
            latent = vae.encode(checkpoint, [images.to_tensor(version)])[0]
            examples.append(Example(index, size, latent.clone()))  # a clone takes part in autograd
    return examples


def batches(examples: Sequence[Example], batch_size: int, seed: int) -> Iterator[list[Example]]:
    """Yield batches of examples of equal size, without end. Each epoch shuffles examples and batches anew.

    The order depends on the arguments only. The last batch of a bucket is filled up with examples of the same bucket.
    """
    buckets: dict[Size, list[Example]] = {}
    for example in examples:
        buckets.setdefault(example.size, []).append(example)
    epoch = 0
    while True:
        rng = random.Random(f"{seed} {epoch}")
        found = []
        for bucket in buckets.values():
            shuffled = rng.sample(bucket, len(bucket))
            missing = -len(shuffled) % batch_size
            shuffled += [rng.choice(bucket) for _ in range(missing)]
            found += [shuffled[at : at + batch_size] for at in range(0, len(shuffled), batch_size)]
        rng.shuffle(found)
        yield from found
        epoch += 1
