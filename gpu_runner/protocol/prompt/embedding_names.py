"""Embedding names in prompts. Admission and the text encoder read prompts with these functions. No torch.

A name is found as a sequence of whole words, regardless of case and of the spaces between them; the longest name wins.
Words are those of CLIP's tokenizer: a run of letters, one digit, or a run of other signs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

import regex

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.step_count import detail_request, hires_request

from .attention import Section, parse_attention
from .composition import PromptComposition

WORD = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)
Words = tuple[str, ...]


class EmbeddingNames:
    """Finds names in texts. Of names that differ in case or spaces only, the first is found."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_first_word: dict[str, list[tuple[Words, str]]] = {}
        for name in names:
            words = tuple(word for word, _start, _end in _words(_composed(name)))
            if words:
                self._by_first_word.setdefault(words[0], []).append((words, name))
        for entries in self._by_first_word.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def split(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield (text, "") for a part without names, and ("", name) for a name, in order."""
        if not self._by_first_word:
            yield text, ""
            return
        text = _composed(text)
        words = list(_words(text))
        index, done = 0, 0
        while index < len(words):
            found = self._at(words, index)
            if found is None:
                index += 1
                continue
            length, name = found
            if text[done : words[index][1]]:
                yield text[done : words[index][1]], ""
            yield "", name
            index += length
            done = words[index - 1][2]
        if text[done:]:
            yield text[done:], ""

    def _at(self, words: list[tuple[str, int, int]], index: int) -> tuple[int, str] | None:
        for name_words, name in self._by_first_word.get(words[index][0], ()):
            end = index + len(name_words)
            if tuple(word for word, _start, _end in words[index:end]) == name_words:
                return len(name_words), name
        return None


def sections_of(text: str, emphasis: str) -> list[Section]:
    """Split a text at BREAK, into weighted parts without brackets. Brackets are literal with the emphasis "None"."""
    return [[(text, 1.0)]] if emphasis == "None" else parse_attention(text)


def passes_of(request: GenerationRequest) -> list[PromptComposition]:
    """Return the prompts of each pass. Raises PromptTooLong."""
    calls = _calls(request)
    passes = [PromptComposition.of(request.prompt, request.negative_prompt, calls)]
    if request.hires is not None:
        second = hires_request(request, request.hires)
        prompts = second.prompt, second.negative_prompt
        passes.append(PromptComposition.of(*prompts, _calls(second), first_pass=calls))
    for part in request.detail_passes:
        for number in range(max(1, len(part.regions))):
            region = detail_request(request, part, 0, number)
            passes.append(PromptComposition.of(region.prompt, region.negative_prompt, _calls(region)))
    return passes


def named_embeddings(request: GenerationRequest, names: Iterable[str]) -> set[str]:
    """Return the names that the text encoder finds in the prompts of a request. Raises PromptTooLong."""
    return names_in(passes_of(request), names, request.emphasis)


def names_in(
    passes: Iterable[PromptComposition], names: Iterable[str], emphasis: str = "Original"
) -> set[str]:
    """Return the names that the text encoder finds in these prompts."""
    finder = EmbeddingNames(names)
    texts = {text for prompts in passes for text in prompts.texts}
    parts = {part for text in texts for section in sections_of(text, emphasis) for part, _weight in section}
    return {name for part in parts for _text, name in finder.split(part) if name}


def escaped(name: str) -> str:
    """The name as it is written in a prompt: with backslashes before brackets."""
    return regex.sub(r"[\\()\[\]|]", r"\\\g<0>", name)


def _calls(request: GenerationRequest) -> int:
    return sampler_catalog.sampler(request.sampler).nominal_calls(request.num_inference_steps)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each word in lower case, with its start and end."""
    return ((match[0].lower(), match.start(), match.end()) for match in WORD.finditer(text))
