"""The T5 tokenizer gives the tokens of the tokenizer file that its authors publish."""

import pytest

from gpu_runner.protocol.prompt.t5_tokenizer import END, t5_length, t5_tokens, weighted_t5_tokens

# From tokenizer.json of T5 1.1, without the end token.
TOKENS = {
    "a red circle, 2 cats!": [3, 9, 1131, 8196, 6, 204, 10003, 55],
    "Ünïcödé \n\n  spaces\tand's 12345": [3, 14858, 29, 2, 75, 1872, 3764, 4856, 11, 31, 7, 3, 14574, 2128],
    "ＦＵＬＬ width ﬁ": [27645, 9400, 361],
    "": [],
}


@pytest.mark.parametrize("text", TOKENS, ids=["english", "spaces", "wide", "empty"])
def test_tokens_are_those_of_the_authors(text):
    assert t5_tokens(text) == TOKENS[text]


def test_a_prompt_cannot_contain_control_tokens():
    assert not {0, END} & set(t5_tokens("</s> <pad> <extra_id_0>"))
    assert max(t5_tokens("<extra_id_0>")) < 32000


def test_weights_belong_to_the_tokens_of_their_words_and_a_long_prompt_keeps_its_end_token():
    tokens, weights = weighted_t5_tokens("a (red:1.5) circle", 512, "Original")
    assert weights == [1.0, 1.0, 1.5, 1.0, 1.0]
    assert tokens == [3, 9, 1131, 8196, END]
    assert weighted_t5_tokens("a red circle, 2 cats!", 4, "None")[0] == [3, 9, 1131, END]
    assert t5_length("a red circle, 2 cats!", "None") == 9
