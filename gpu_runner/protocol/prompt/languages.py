"""Writing systems of prompts. CLIP's text encoders were trained on English: text in other scripts is close to noise to
them, although the tokenizer accepts it. Detects scripts, not languages: French passes. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import regex

from .composition import PromptComposition
from .embedding_names import EmbeddingNames, sections_of

FOREIGN = regex.compile(
    r"[\p{L}--[\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}]]", flags=regex.VERSION1
)
SCRIPTS = {
    script: regex.compile(rf"[{classes}]")
    for script, classes in {
        "Japanese": r"\p{Script=Hiragana}\p{Script=Katakana}",
        "Chinese": r"\p{Script=Han}\p{Script=Bopomofo}",
        "Korean": r"\p{Script=Hangul}",
        "Cyrillic": r"\p{Script=Cyrillic}",
        "Arabic": r"\p{Script=Arabic}",
        "Thai": r"\p{Script=Thai}",
        "Hebrew": r"\p{Script=Hebrew}",
        "Devanagari": r"\p{Script=Devanagari}",
        "Greek": r"\p{Script=Greek}",
    }.items()
}
OTHER = "other"


def foreign_scripts(
    passes: Iterable[PromptComposition], embeddings: Iterable[str] = (), emphasis: str = "Original"
) -> list[str]:
    """Return the scripts but Latin of the texts that the text encoder reads: keys of SCRIPTS, or OTHER.

    Tags and embedding names are not read as text. Chinese characters in Japanese or Korean text count as such.
    """
    names = EmbeddingNames(embeddings)
    texts = {text for prompts in passes for text in prompts.texts if FOREIGN.search(text)}
    parts = {part for text in texts for section in sections_of(text, emphasis) for part, _weight in section}
    plain = "\n".join(plain for part in sorted(parts) for plain, _name in names.split(part))
    letters = "".join(dict.fromkeys(FOREIGN.findall(plain)))
    found = [script for script, pattern in SCRIPTS.items() if pattern.search(letters)]
    if "Chinese" in found and {"Japanese", "Korean"} & set(found):
        found.remove("Chinese")
    return found or ([OTHER] if letters else [])
