"""Captions of the images: those of the request, and tags of a tagger for images without one."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_runner.imaging import images
from gpu_runner.imaging.tagging import find_tags
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import LoraTraining, RunRequest

MAX_TAGS = 30  # of a caption; about what CLIP reads


def captions_of(
    store: ModelStore, run_request: RunRequest, training: LoraTraining, files: Sequence[bytes]
) -> list[str]:
    """One caption for each image, with the trigger words. Raises ModelUnavailable or InvalidImage.

    They are the same for every attempt, because the tagger is deterministic.
    """
    if not training.tagger:
        return training.captions()
    tagger = store.onnx.tagger(run_request.file("tagger", training.tagger))
    captions = []
    for image, data in zip(training.images, files, strict=True):
        caption = image.caption
        if not caption:
            found = find_tags(tagger, images.read(data), training.tag_threshold, None)
            caption = ", ".join(tag.in_prompt(escaped=False) for tag in found.tags[:MAX_TAGS])
        captions.append(training.with_trigger(caption))
    return captions
