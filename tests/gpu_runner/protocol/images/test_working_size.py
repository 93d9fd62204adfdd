"""Working size for an input image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.images.working_size import working_size


@pytest.mark.parametrize(
    ("image", "long_side", "size"),
    [
        ((1024, 1024), 704, (704, 704)),
        ((1920, 1080), 704, (704, 400)),  # 396 is rounded up to a multiple of 8
        ((600, 800), 704, (528, 704)),
        ((300, 200), 704, (704, 472)),  # small images are enlarged
        ((800, 800), 700, (704, 704)),
        ((999, 501), 0, (1000, 504)),  # the size of the image
        ((5000, 10), 704, (704, 64)),
        ((9000, 9000), 0, (4096, 4096)),
    ],
)
def test_the_long_side_is_the_requested_one_and_the_short_side_keeps_the_aspect_ratio(image, long_side, size):
    assert working_size(*image, long_side) == size


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(0, 5000))
def test_any_image_size_gives_a_valid_request_size(width, height, long_side):
    size = working_size(width, height, long_side)
    GenerationRequest(width=size[0], height=size[1])
    assert size[::-1] == working_size(height, width, long_side)
