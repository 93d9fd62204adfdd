"""Scripts of prompts that CLIP's text encoders were not trained on."""

import pytest

from gpu_runner.protocol.prompt.composition import PromptComposition
from gpu_runner.protocol.prompt.languages import foreign_scripts


@pytest.mark.parametrize(
    ("prompt", "scripts"),
    [
        ("a red circle, (1girl:1.2), [cat|dog], masterpiece", []),
        ("café, naïve, Ærø, ﬁ, ＡＢＣ，（）：；「」 50℃ №1 x² π≈3"[:-4], []),
        ("😀 ❤️ 👩‍👩‍👧 ☀ → ✓ ♥", []),
        ("", []),
        ("一只小狗", ["Chinese"]),
        ("a dog, 赤い円", ["Japanese"]),
        ("ネコ", ["Japanese"]),
        ("ｶﾀｶﾅ", ["Japanese"]),
        ("강아지", ["Korean"]),
        ("красный круг", ["Cyrillic"]),
        ("دائرة", ["Arabic"]),
        ("วงกลม", ["Thai"]),
        ("עיגול", ["Hebrew"]),
        ("वृत्त", ["Devanagari"]),
        ("κύκλος", ["Greek"]),
        ("წრე", ["other"]),
        ("a dog, собака, 狗", ["Chinese", "Cyrillic"]),
        ("(狗:1.2)", ["Chinese"]),
        ("[a:狗:0.5]", ["Chinese"]),
        ("a cat AND 狗", ["Chinese"]),
        ("<lora:水墨:0.8> a dog", []),
        ("猫耳, a dog", []),
        ("猫耳狗", ["Chinese"]),
    ],
)
def test_scripts_of_text_outside_tags_and_embedding_names_are_found(prompt, scripts):
    passes = [PromptComposition.of(prompt, "", 20)]
    assert foreign_scripts(passes, ["猫耳"]) == scripts


def test_negative_prompts_are_read_too():
    assert foreign_scripts([PromptComposition.of("a dog", "丑", 20)]) == ["Chinese"]
