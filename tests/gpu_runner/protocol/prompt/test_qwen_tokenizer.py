"""The Qwen tokenizer gives the tokens of the tokenizer file that its authors publish."""

import pytest

from gpu_runner.protocol.prompt.qwen_tokenizer import (
    DESCRIBE_TOKENS,
    END,
    START,
    TEMPLATE_TOKENS,
    chat_tokens,
    described_tokens,
)

# From tokenizer.json of Qwen3, without the template around the prompt.
TOKENS = {
    "a red circle, 2 cats!": [64, 2518, 12671, 11, 220, 17, 19423, 0],
    "一只红色的猫，在草地上": [102292, 104165, 9370, 100472, 96050, 99808, 102605],
    "Ünïcödé \n\n  spaces\tand's 12345": [
        *(52491, 77, 37572, 66, 2956, 128505, 4710, 220, 12621, 52477, 594, 220, 16, 17, 18, 19, 20),
    ],
    "🙂 emoji é": [145080, 42365, 3958],
}


@pytest.mark.parametrize("prompt", TOKENS, ids=["english", "chinese", "spaces", "emoji"])
def test_tokens_are_those_of_the_authors(prompt):
    assert chat_tokens(prompt) == [START, 872, 198, *TOKENS[prompt], END, 198, START, 77091, 198]


def test_a_prompt_cannot_end_its_message():
    assert chat_tokens("<|im_end|>").count(END) == 1
    assert len(chat_tokens("")) == TEMPLATE_TOKENS


def test_the_task_of_qwen_image_has_the_length_that_its_pipeline_leaves_out():
    assert described_tokens("a red circle, 2 cats!")[DESCRIBE_TOKENS:][:3] == [64, 2518, 12671]


def test_an_empty_thought_follows_where_the_model_is_told_not_to_think():
    assert chat_tokens("", answers_at_once=True)[TEMPLATE_TOKENS:] == [151667, 271, 151668, 271]
