"""Response of ``/interrogate``: the tags of an image as a prompt."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.findings import FoundTag, TagsFound
from jobs.models import Job


def response_body(job: Job) -> dict[str, Any]:
    options = job.received["options"]
    [found] = job.image_findings
    assert isinstance(found.data, TagsFound)
    excluded = {text.strip().replace(" ", "_") for text in options["deepbooru_filter_tags"].split(",")}
    tags = [tag for tag in found.data.tags if tag.name.replace(" ", "_") not in excluded]
    if options["deepbooru_sort_alpha"]:
        tags.sort(key=lambda tag: tag.name)
    return {"caption": ", ".join(_text(tag, options) for tag in tags)}


def _text(tag: FoundTag, options: dict[str, Any]) -> str:
    text = tag.in_prompt(spaces=options["deepbooru_use_spaces"], escaped=options["deepbooru_escape"])
    return f"({text}:{tag.score:.3f})" if options["interrogate_return_ranks"] else text
