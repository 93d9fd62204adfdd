"""Fields of a tool's status that a job with findings adds. [R], except those of the audit."""

from __future__ import annotations

from typing import Any

from dialects.zhiqite.request.tools.analysis_tools import IDENTIFY_STYLE
from dialects.zhiqite.request.tools.base import TOOL
from gpu_runner.protocol import Finding
from gpu_runner.protocol.findings import FacesFound, FoundFace, FoundTag, NsfwFound, PosesFound, TagsFound
from jobs.models import Job

from .style_tags import STYLES

LANDMARKS = ("leftEye", "rightEye", "nose", "leftMouthCorner", "rightMouthCorner")  # as seen in the image
NO_LABEL = {"confidence": None, "label": "nonLabel"}


def fields_of(job: Job, image_urls: list[str]) -> dict[str, Any]:
    """What the job found. Empty for a job of another task, and for one that has not succeeded."""
    fields: dict[str, Any] = {}
    for found in job.image_findings:
        fields |= _fields(found.data, image_urls)
    if "tags" in fields and job.operation == TOOL + IDENTIFY_STYLE:
        return {"styles": [tag for tag in fields["tags"] if tag["name"] in STYLES]}
    return fields


def audit(label: str | None, score: float | None) -> list[dict[str, Any]]:
    """``img_audit``: the label of an image and its confidence."""
    return [{"confidence": score, "label": label} if label else NO_LABEL]


def _fields(finding: Finding, image_urls: list[str]) -> dict[str, Any]:
    match finding:
        case FacesFound():
            faces = [
                _face(number, face, image_urls[number] if number < len(image_urls) else None)
                for number, face in enumerate(finding.faces)
            ]
            return {"imageWidth": finding.width, "imageHeight": finding.height, "faceList": faces}
        case NsfwFound():
            return {
                "img_audit": audit("nsfw" if finding.detected else None, finding.score),
                "img_audit_status": not finding.detected,
                "nsfwScore": finding.score,
                "nsfwThreshold": finding.threshold,
            }
        case TagsFound():
            return {
                "caption": finding.as_prompt(),
                "tags": [_tag(tag) for tag in finding.tags],
                "ratings": [_tag(tag) for tag in finding.ratings],
            }
        case PosesFound():
            return {"poses": [finding.openpose_json()]}


def _tag(tag: FoundTag) -> dict[str, Any]:
    return {"name": tag.in_prompt(escaped=False), "score": tag.score, "category": tag.category}


def _face(number: int, face: FoundFace, image_url: str | None) -> dict[str, Any]:
    left, top, right, bottom = face.box
    return {
        "faceIdx": number,
        "score": face.score,
        "box": {"left": left, "top": top, "width": round(right - left, 2), "height": round(bottom - top, 2)},
        "landmarks": dict(zip(LANDMARKS, map(list, face.landmarks), strict=True)),
        "faceImageUrl": image_url,
    }
