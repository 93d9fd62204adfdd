"""Responses for a job: processing, success, failed. They depend on the job only, so that they can be repeated later."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.endpoints import ENDPOINTS, Endpoint
from dialects.stablediffusionapi.errors import message_fields
from dialects.stablediffusionapi.response.numeric_ids import number_of
from gpu_runner.protocol.findings import NsfwFound, TagsFound
from jobs.images.signed_urls import future_urls, input_url, output_urls
from jobs.models import Job, State
from jobs.scheduling.eta import outlook

from .meta import meta

FAILED = "Failed, Try Again"
# Clients compare these texts literally.
TRY_AGAIN = {"v3": "Try to fetch request after given estimated time"}
TRY_AGAIN_LATER = "Try to fetch request after seconds estimated"
PROCESSING = "Request processing"
TIPS = {"v3": "For faster speed, keep the resolution up to 512x512."}
LONG_TIP = (
    "Your images are generated in the background. Get them by calling fetch_result after the estimated time."
)
CAPTION_TAGS = {"short": 5, "normal": 20, "long": None}
DAY_S = 24 * 3600
MIN_ETA_S, UNKNOWN_ETA_S = 1.0, 30.0


def job_response(job: Job, base_url: str) -> dict[str, Any]:
    """Response to the request that submitted the job."""
    endpoint = ENDPOINTS[job.operation]
    if job.state == State.SUCCEEDED:
        return _success(job, endpoint, base_url)
    return _failure(job) if job.is_terminal else _processing(job, endpoint, base_url)


def fetch_response(job: Job, base_url: str) -> dict[str, Any]:
    """Response to a fetch request."""
    endpoint = ENDPOINTS[job.operation]
    if job.is_terminal:
        return job_response(job, base_url)
    return {
        "status": "processing",
        **message_fields(PROCESSING),
        "output": "",
        "id": number_of(job),
        "eta": _eta(job),
        "tip": _tip(endpoint),
        "future_links": _links(job, base_url, future_urls),
    }


def _failure(job: Job) -> dict[str, Any]:
    """Response for a failed job; ``tip`` has its error message."""
    return {"status": "failed", "id": "", **message_fields(FAILED), "output": "", "tip": job.error_message}


def _verdict(job: Job, endpoint: Endpoint, base_url: str) -> dict[str, Any]:
    """Response of the NSFW check: a verdict for each image."""
    verdicts = [found.data.detected for found in job.image_findings if isinstance(found.data, NsfwFound)]
    return {
        "status": "success",
        "generationTime": job.engine_seconds,
        "id": number_of(job),
        "images": [input_url(image.sha256, base_url) for image in job.generation_request.init_images],
        "has_nsfw_concept": verdicts,
        "nsfw_content_detected": any(verdicts),
        "output": [],
        "meta": meta(job, endpoint),
    }


def _caption(job: Job, endpoint: Endpoint) -> dict[str, Any]:
    """Response of the caption by a tagger: the first tags of the image."""
    found = [each.data for each in job.image_findings if isinstance(each.data, TagsFound)]
    limit = CAPTION_TAGS[job.received.get("length") or "normal"]
    tags = [tag.in_prompt(escaped=False) for each in found for tag in each.tags][:limit]
    return {
        "status": "success",
        "generationTime": job.engine_seconds,
        "id": number_of(job),
        "output": ", ".join(tags),
        "meta": meta(job, endpoint),
    }


def _success(job: Job, endpoint: Endpoint, base_url: str) -> dict[str, Any]:
    if endpoint.task == "caption":
        return _caption(job, endpoint)
    if endpoint.task == "nsfw_check":
        return _verdict(job, endpoint, base_url)
    links = _links(job, base_url, output_urls)
    return {
        "status": "success",
        "generationTime": job.engine_seconds,
        "id": number_of(job),
        "output": next(iter(links), "") if endpoint.one_output else links,  # images may be deleted
        "proxy_links": links,
        "nsfw_content_detected": any(output.nsfw for output in job.outputs.all()),
        "webhook_status": "",
        "tip": job.received.get("tip", ""),
        "meta": meta(job, endpoint),
    }


def _processing(job: Job, endpoint: Endpoint, base_url: str) -> dict[str, Any]:
    return {
        "status": "processing",
        "tip": _tip(endpoint),
        "eta": _eta(job),
        **message_fields(TRY_AGAIN.get(endpoint.edition, TRY_AGAIN_LATER)),
        "webhook_status": "",
        "fetch_result": f"{base_url}/api/{endpoint.fetch}/{number_of(job)}",
        "id": number_of(job),
        "output": "" if endpoint.task == "controlnet" else [],
        "future_links": _links(job, base_url, future_urls),
        "meta": meta(job, endpoint),
    }


def _tip(endpoint: Endpoint) -> str:
    return TIPS.get(endpoint.edition, LONG_TIP)


def _links(job: Job, base_url: str, urls: Any) -> list[str]:
    """URLs of the outputs: of base64 text files with ``base64: yes``, and expiring after a day with ``temp: yes``."""
    url_kind = "base64" if job.received.get("base64") else "picture"
    links: list[str] = urls(job, base_url, url_kind, DAY_S if job.received.get("temp") else None)
    return links


def _eta(job: Job) -> float:
    seconds = outlook(job).ends_in_s
    return UNKNOWN_ETA_S if seconds is None else round(max(MIN_ETA_S, seconds), 3)
