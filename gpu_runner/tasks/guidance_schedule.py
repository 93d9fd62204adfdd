"""Text conditionings of one pass, and the guidance at each UNet call."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions, extended
from gpu_runner.networks.diffusion.guidance import Guidance
from gpu_runner.networks.diffusion.sdxl_conditioning import blank
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeText, Operation
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.composition import PromptComposition, PromptTexts, WeightedTexts

TEXTS_PER_OPERATION = 16  # texts per EncodeText operation; bounds the delay for other images


@dataclass(frozen=True, eq=False)
class GuidanceSchedule:
    """Classifier-free guidance of one pass per UNet call (0-based)."""

    prompts: PromptComposition
    conditionings: Mapping[str, Conditioning]
    scale: float
    empty_negative_is_zero: bool = False  # SDXL: an empty negative prompt becomes a zero conditioning
    image_scale: float | None = None  # InstructPix2Pix: guidance by the init image
    embedded: float | None = None  # of families whose denoiser reads the guidance value
    extends: bool = True  # texts joined by AND are extended to the same length
    _known: dict[PromptTexts, Guidance] = field(
        default_factory=dict
    )  # most prompts have the same texts at every call

    def at(self, call: int) -> Guidance:
        texts = self.prompts.at(call)
        if texts not in self._known:
            self._known[texts] = self._guidance(*texts)
        return self._known[texts]

    def _guidance(self, positives: WeightedTexts, negative: str) -> Guidance:
        conditionings = [self.conditionings[text] for text, _weight in positives]
        conditionings = extended(conditionings) if self.extends else conditionings
        weights = (weight for _text, weight in positives)
        weighted = tuple(zip(conditionings, weights, strict=True))
        negative_conditioning = self.conditionings[negative]
        is_blank = self.empty_negative_is_zero and not negative
        return Guidance(
            weighted,
            blank(negative_conditioning) if is_blank else negative_conditioning,
            self.scale,
            image_scale=self.image_scale,
            embedded=self.embedded,
        )


def text_options_of(request: GenerationRequest, model: LoadedCheckpoint) -> TextEncodingOptions:
    """Return the text encoding options, with the model's embeddings."""
    embeddings = tuple(model.embeddings.values())
    return TextEncodingOptions(request.clip_skip, request.emphasis, request.comma_backtrack, embeddings)


def encode_guidance(
    model: LoadedCheckpoint,
    prompts: PromptComposition,
    text_options: TextEncodingOptions,
    scale: float,
    image_scale: float | None = None,
) -> Generator[Operation, tuple[Conditioning, ...], GuidanceSchedule]:
    """Encode all texts of a prompt composition, in batches, and build the guidance schedule."""
    conditionings: dict[str, Conditioning] = {}
    for begin in range(0, len(prompts.texts), TEXTS_PER_OPERATION):
        texts = prompts.texts[begin : begin + TEXTS_PER_OPERATION]
        encoded = yield EncodeText(model, texts, text_options)
        conditionings |= zip(texts, encoded, strict=True)
    is_embedded = model.facts.guidance == "embedded"
    return GuidanceSchedule(
        prompts,
        conditionings,
        1.0 if is_embedded or model.facts.guidance == "none" else scale,
        empty_negative_is_zero=model.is_sdxl,
        image_scale=image_scale,
        embedded=scale if is_embedded else None,
        extends=model.facts.flow is None,
    )
