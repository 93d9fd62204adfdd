"""The words of a pass, encoded: what its picture is pulled towards at each call."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.diffusion.guidance import Guidance
from gpu_runner.networks.diffusion.sdxl_conditioning import blank
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeText, Operation
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.composition import PromptComposition, PromptTexts, WeightedTexts

TEXTS_AN_ASK = 16  # so that a prompt of hundreds of texts does not hold up the others' steps


@dataclass(frozen=True, eq=False)
class GuidanceSchedule:
    words: PromptComposition
    conditionings: Mapping[str, Conditioning]
    scale: float
    silence_is_blank: bool = False  # to SDXL no negative prompt is none, not an empty one
    _known: dict[PromptTexts, Guidance] = field(
        default_factory=dict
    )  # most prompts say one thing at every call

    def at(self, call: int) -> Guidance:
        said = self.words.at(call)
        if said not in self._known:
            self._known[said] = self._guidance(*said)
        return self._known[said]

    def _guidance(self, positives: WeightedTexts, negative: str) -> Guidance:
        told = tuple((self.conditionings[text], weight) for text, weight in positives)
        against = self.conditionings[negative]
        is_blank = self.silence_is_blank and not negative
        return Guidance(told, blank(against) if is_blank else against, self.scale)


def wording_of(request: GenerationRequest, model: LoadedCheckpoint) -> TextEncodingOptions:
    """The embeddings are those that the request may say, of all that are loaded for the model."""
    embeddings = tuple(model.embeddings[name] for name in request.embeddings)
    return TextEncodingOptions(request.clip_skip, request.emphasis, request.comma_backtrack, embeddings)


def directed(
    model: LoadedCheckpoint, words: PromptComposition, wording: TextEncodingOptions, scale: float
) -> Generator[Operation, tuple[Conditioning, ...], GuidanceSchedule]:
    conditionings: dict[str, Conditioning] = {}
    for begin in range(0, len(words.texts), TEXTS_AN_ASK):
        texts = words.texts[begin : begin + TEXTS_AN_ASK]
        answers = yield EncodeText(model, texts, wording)
        conditionings |= zip(texts, answers, strict=True)
    return GuidanceSchedule(words, conditionings, scale, silence_is_blank=model.is_sdxl)
