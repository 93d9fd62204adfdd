"""Text encoding: chunks, weights and embeddings as in A1111, hidden states as in transformers."""

import pytest
import torch
from cachetools import LRUCache
from torch.nn.functional import scaled_dot_product_attention

from gpu_runner.models.store import ModelStore
from gpu_runner.networks.conditioning import Embedding, TextEncodingOptions, pad_to_same_length
from gpu_runner.networks.loaded import ENCODINGS_KEPT
from gpu_runner.networks.text import emphasis
from gpu_runner.networks.text.prompt_chunks import COMMA_ID, chunks_of
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol.prompt.tokenizer import BOS_ID, EOS_ID, clip_tokenizer

pytestmark = pytest.mark.slow

CAT = 2368


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    root, file = tiny_checkpoint
    loaded = ModelStore(root, "cpu", torch.float32, 2**34).get(file)
    norm = loaded.text_encoder.final_layer_norm  # a trained norm has a bias, so that the means are not zero
    with torch.random.fork_rng():
        torch.manual_seed(3)
        norm.bias = torch.nn.Parameter(torch.randn_like(norm.bias) + 0.3, requires_grad=False)
    return loaded


@pytest.fixture(autouse=True)
def empty_cache(checkpoint):
    clear_cache(checkpoint)


def clear_cache(checkpoint):
    checkpoint.encodings = LRUCache(ENCODINGS_KEPT)


def chunks(prompt, **options):
    return chunks_of(prompt, clip_tokenizer(), TextEncodingOptions(**options))


def contexts(checkpoint, prompts, **options):
    return [one.context for one in encode(checkpoint, prompts, TextEncodingOptions(**options))]


def content_tokens(chunk):
    return [token for token in chunk.tokens if token not in (BOS_ID, EOS_ID)]


def transformers_states(checkpoint, token_ids, **options):
    row = [BOS_ID, *token_ids, *[EOS_ID] * (76 - len(token_ids))]
    return checkpoint.text_encoder(input_ids=torch.tensor([row]), **options)


# Chunks


def test_a_short_prompt_fills_one_chunk():
    (chunk,) = chunks("a photo of a cat")
    assert chunk.tokens == [BOS_ID, 320, 1125, 539, 320, CAT, *[EOS_ID] * 71]
    assert chunk.weights == [1.0] * 77


def test_an_empty_prompt_is_one_chunk():
    (chunk,) = chunks("")
    assert chunk.tokens == [BOS_ID, *[EOS_ID] * 76]


def test_a_prompt_of_200_tokens_is_split_into_three_chunks():
    parts = chunks("cat " * 200)
    assert [len(content_tokens(chunk)) for chunk in parts] == [75, 75, 50]
    assert all(len(chunk.tokens) == len(chunk.weights) == 77 for chunk in parts)


def test_text_after_a_comma_near_the_end_moves_to_the_next_chunk():
    first, second = chunks("cat " * 60 + ", " + "dog " * 20)
    assert len(content_tokens(first)) == 61
    assert content_tokens(first)[-1] == COMMA_ID
    assert len(content_tokens(second)) == 20


def test_a_full_width_comma_is_a_comma_for_the_backtrack():
    first, second = chunks("cat " * 60 + "， " + "dog " * 20)
    assert content_tokens(first)[60:] == [COMMA_ID]
    assert len(content_tokens(second)) == 20


def test_full_width_brackets_are_text_without_weight():
    """As in A1111: the prompt is parsed before its texts are cleaned."""
    (chunk,) = chunks("（cat：1.5）, (cat:1.5)")
    assert [weight for token, weight in zip(chunk.tokens, chunk.weights, strict=True) if token == CAT] == [
        1.0,
        1.5,
    ]


def test_a_comma_far_from_the_end_does_not_split_a_chunk():
    first, _second = chunks("cat " * 40 + ", " + "dog " * 40)
    assert len(content_tokens(first)) == 75


def test_a_comma_after_a_full_chunk_starts_the_next_chunk():
    first, second = chunks("cat " * 60 + ", " + "dog " * 14 + ", end")
    assert len(content_tokens(first)) == 75
    assert content_tokens(second)[0] == COMMA_ID


def test_break_begins_a_new_chunk():
    first, second = chunks("cat BREAK dog")
    assert (content_tokens(first), content_tokens(second)) == ([CAT], [1929])
    assert [len(content_tokens(chunk)) for chunk in chunks("BREAK cat")] == [0, 1]
    assert [len(content_tokens(chunk)) for chunk in chunks("cat BREAK")] == [1]


def test_every_token_of_an_emphasised_text_has_its_weight():
    (chunk,) = chunks("a (red cat:1.5) here")
    assert chunk.weights[:6] == [1.0, 1.0, 1.5, 1.5, 1.0, 1.0]


def test_padding_follows_the_first_end_token():
    (chunk,) = chunks_of("cat", clip_tokenizer(), padding=0)
    assert chunk.tokens[:5] == [BOS_ID, CAT, EOS_ID, 0, 0]


def test_comma_backtrack_limits_how_far_from_the_end_a_comma_may_be():
    prompt = "cat " * 60 + ", " + "dog " * 20
    assert [len(content_tokens(chunk)) for chunk in chunks(prompt, comma_backtrack=0)] == [75, 6]
    assert [len(content_tokens(chunk)) for chunk in chunks(prompt, comma_backtrack=14)] == [75, 6]
    assert [len(content_tokens(chunk)) for chunk in chunks(prompt, comma_backtrack=15)] == [61, 20]


def test_emphasis_none_treats_brackets_and_break_as_text():
    (chunk,) = chunks("(cat:1.5) BREAK [dog]", emphasis="None")
    assert set(chunk.weights) == {1.0}
    assert content_tokens(chunk) == clip_tokenizer().encode("(cat:1.5) BREAK [dog]")


# Embeddings


def embedding(name, vectors):
    return Embedding(name, f"key of {name} {vectors}", (torch.full((vectors, 64), 0.5),))


def test_an_embedding_name_is_replaced_by_its_vectors():
    (chunk,) = chunks("a (Ugly-Hands:1.5) cat", embeddings=(embedding("ugly-hands", 3),))
    assert {place: found.name for place, found in chunk.embeddings.items()} == {2: "ugly-hands"}
    assert chunk.weights[1:6] == [1.0, 1.5, 1.5, 1.5, 1.0]
    assert chunk.tokens[5] == CAT


def test_the_longest_embedding_name_wins_and_parts_of_words_do_not_match():
    known = (embedding("ugly", 1), embedding("ugly hands", 2), embedding("cat", 4))
    (chunk,) = chunks("ugly hands, ugly, category", embeddings=known)
    assert [found.name for found in chunk.embeddings.values()] == ["ugly hands", "ugly"]


def test_an_embedding_is_not_split_between_chunks():
    first, second = chunks("dog " * 70 + "blur", embeddings=(embedding("blur", 10),))
    assert len(content_tokens(first)) == 70
    assert list(second.embeddings) == [1]


def test_an_embedding_after_a_comma_moves_to_the_next_chunk():
    first, second = chunks(
        "dog " * 60 + ", " + "blur " + "dog " * 10 + "cat", embeddings=(embedding("blur", 5),)
    )
    assert (len(content_tokens(first)), first.embeddings) == (61, {})
    assert list(second.embeddings) == [1]


def test_an_embedding_with_the_vectors_of_words_equals_the_words(checkpoint):
    own = checkpoint.text_encoder.get_input_embeddings().weight[[320, CAT]].detach()
    inversion = Embedding("zyx", "k", (own,))
    (inverted,) = contexts(checkpoint, ["zyx runs"], embeddings=(inversion,))
    assert torch.allclose(inverted, *contexts(checkpoint, ["a cat runs"]), atol=1e-6)
    assert not torch.allclose(inverted, *contexts(checkpoint, ["zyx runs"]), atol=1e-2)


# Hidden states


def test_a_plain_prompt_equals_transformers(checkpoint):
    (states,) = contexts(checkpoint, ["a photo of a cat"], clip_skip=1)
    reference = transformers_states(checkpoint, [320, 1125, 539, 320, CAT])
    assert torch.allclose(states, reference.last_hidden_state[0], atol=1e-6)


def test_clip_skip_uses_an_earlier_layer_with_the_final_layer_norm(checkpoint):
    (states,) = contexts(checkpoint, ["cat"], clip_skip=2)
    reference = transformers_states(checkpoint, [CAT], output_hidden_states=True).hidden_states[-2]
    assert torch.allclose(states, checkpoint.text_encoder.final_layer_norm(reference)[0], atol=1e-6)


def test_clip_skip_is_limited_to_the_number_of_layers(checkpoint):
    assert torch.equal(
        *contexts(checkpoint, ["cat"], clip_skip=12), *contexts(checkpoint, ["cat"], clip_skip=2)
    )


def test_a_long_prompt_is_the_concatenation_of_its_chunks(checkpoint):
    long, first = contexts(checkpoint, ["cat " * 200, "cat " * 75], clip_skip=1)
    assert long.shape == (3 * 77, 64)
    assert torch.allclose(long[:77], first, atol=1e-6)


def test_a_prompt_does_not_depend_on_the_other_prompts_of_the_call(checkpoint):
    prompts = ["a red circle", "cat " * 200, "(a blue:1.3) square", "", "BREAK"]
    together = contexts(checkpoint, prompts, clip_skip=1)
    clear_cache(checkpoint)
    for prompt, states in zip(prompts, together, strict=True):
        assert torch.allclose(*contexts(checkpoint, [prompt], clip_skip=1), states, atol=1e-5)
        clear_cache(checkpoint)


def test_a_prompt_may_have_more_chunks_than_one_encoder_call(checkpoint):
    (states,) = contexts(checkpoint, ["cat " * 75 * 70], clip_skip=1)
    assert states.shape == (70 * 77, 64)
    assert torch.allclose(states[:77], states[-77:], atol=1e-5)


def test_weights_scale_their_tokens_and_keep_the_mean(checkpoint):
    plain, heavy = contexts(checkpoint, ["a red cat", "a (red:1.5) cat"], clip_skip=1)
    assert heavy.mean().item() == pytest.approx(plain.mean().item(), rel=1e-4)
    ratio = heavy / plain
    others = [place for place in range(77) if place != 2]
    scale = ratio[0, 0]
    assert torch.allclose(ratio[others], scale.expand(76, 64), rtol=1e-4)
    assert torch.allclose(ratio[2], 1.5 * scale.expand(64), rtol=1e-4)


def test_no_norm_scales_without_restoring_the_mean_and_ignore_does_nothing(checkpoint):
    plain, weighted, ignored = (
        contexts(checkpoint, [prompt], emphasis=emphasis)[0]
        for prompt, emphasis in [
            ("a red cat", "Original"),
            ("a (red:1.5) cat", "No norm"),
            ("a (red:1.5) cat", "Ignore"),
        ]
    )
    assert torch.allclose(weighted[2], 1.5 * plain[2], rtol=1e-4)
    assert torch.equal(weighted[3:], plain[3:])
    assert torch.equal(ignored, plain)


def test_weight_one_changes_nothing(checkpoint):
    assert torch.equal(
        *contexts(checkpoint, ["(cat:1.0)"], clip_skip=1), *contexts(checkpoint, ["cat"], clip_skip=1)
    )


def test_weights_act_on_their_own_chunk_only(checkpoint):
    plain, heavy = contexts(checkpoint, ["cat BREAK dog", "cat BREAK (dog:1.4)"], clip_skip=1)
    assert torch.equal(plain[:77], heavy[:77])
    assert not torch.equal(plain[77:], heavy[77:])


def test_a_mean_near_zero_is_not_restored():
    states = torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])
    assert torch.equal(
        emphasis.original(states, torch.tensor([[1.0, 1.5]])), torch.tensor([[[1.0, -1.0], [3.0, -3.0]]])
    )


@pytest.mark.parametrize("prompt", ["(cat:0)", "(cat:-2)", "(cat:99999)", "(" * 300 + "cat"])
def test_extreme_weights_give_finite_states(checkpoint, prompt):
    assert all(states.isfinite().all() for states in contexts(checkpoint, [prompt], clip_skip=1))


def test_encodings_are_cached_per_clip_skip(checkpoint):
    (first,) = contexts(checkpoint, ["cat"], clip_skip=1)
    again, _other = contexts(checkpoint, ["cat", "dog"], clip_skip=1)
    assert again is first
    assert not torch.equal(*contexts(checkpoint, ["cat"], clip_skip=2), first)


def test_the_cache_of_encodings_is_bounded(checkpoint):
    for number in range(80):
        contexts(checkpoint, [f"cat {number}"], clip_skip=1)
    contexts(checkpoint, ["cat " * 5000], clip_skip=1)
    assert len(checkpoint.encodings) == ENCODINGS_KEPT


# Padding to a common length


def test_a_repeated_context_gives_the_same_attention():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        query, short, long = torch.randn(1, 9, 16), torch.randn(77, 16), torch.randn(231, 16)
    padded, unchanged = pad_to_same_length([short, long])
    assert unchanged.equal(long)
    attended = (scaled_dot_product_attention(query, keys[None], keys[None]) for keys in (short, padded))
    assert torch.allclose(*attended, atol=1e-6)


def test_contexts_without_a_short_common_length_repeat_the_last_state():
    lengths = [len(cond) for cond in pad_to_same_length([torch.zeros(77 * 5, 4), torch.zeros(77 * 7, 4)])]
    assert lengths == [77 * 7] * 2
