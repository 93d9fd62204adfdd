"""Number of tokens of a request's prompts."""

import pytest

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.token_count import token_count


@pytest.mark.parametrize(
    ("prompt", "negative", "count"),
    [
        ("", "", 0),
        ("a red circle", "", 3),
        ("a red circle", "blue, green", 6),
        ("a (red:1.2) circle <lora:night:0.8>", "", 3),
        ("a [red:blue:10] circle", "", 6),  # two texts are encoded
        ("a red circle AND a blue square", "", 6),
    ],
)
def test_tokens_are_those_of_the_encoded_texts(prompt, negative, count):
    assert token_count(GenerationRequest(prompt=prompt, negative_prompt=negative)) == count
