"""Views of the prompt check and of the deletion of a request's images."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.stablediffusionapi.base import StableDiffusionApiView
from dialects.stablediffusionapi.coercion import Invalid, integer, is_absent, one_of, text
from dialects.stablediffusionapi.errors import WireError, message_fields
from dialects.stablediffusionapi.request.fields import field_label, required
from dialects.stablediffusionapi.response.numeric_ids import job_by_number
from jobs.retention.erase import JobNotEnded, erase_images

MAX_PROMPT = 20_000  # characters
TYPES = ("image", "video", "voice", "3d")
NOT_FOUND = "Request not found"


class CheckPrompt(StableDiffusionApiView):
    """check_nsfw_cp: whether the prompt has words of the source's lists."""

    def post(self, request: Request) -> Response:
        prompt = _parsed(self.given, "prompt", text)
        if len(prompt) > MAX_PROMPT:
            reason = f"The prompt must not be greater than {MAX_PROMPT} characters."
            raise WireError.invalid({"prompt": [reason]})
        if not self.source.has_word_lists:
            raise WireError(
                403, _("The prompt check needs a word list, which an operator enters on the source's page.")
            )
        check = self.source.check_prompt(prompt)
        return Response(
            {
                "status": "success",
                "is_cp": check.is_cp,
                "is_nsfw": check.is_nsfw,
                "original_prompt": prompt,
                "filtered_prompt": check.filtered,
            }
        )


class DeleteImage(StableDiffusionApiView):
    """delete_image: deletes outputs and inputs of a request of this source. The request stays in its statement."""

    def post(self, request: Request) -> Response:
        number = _parsed(self.given, "request_id", integer)
        kind = TYPES[0] if is_absent(self.given.get("type")) else _parsed(self.given, "type", one_of(*TYPES))
        job = job_by_number(self.source, str(number)) if kind in ("image", "video") else None
        if job is None or bool(job.request.get("video")) != (kind == "video"):
            raise WireError(400, NOT_FOUND)
        try:
            erase_images(job)
        except JobNotEnded:
            raise WireError(400, _("The request is still processing.")) from None
        return Response({"status": "success", **message_fields(f"{kind} deleted")})


def _parsed(given: dict[str, Any], name: str, coerce: Any) -> Any:
    """A required field. Raises WireError."""
    if is_absent(given.get(name)):
        raise WireError.invalid({name: [required(name)]})
    try:
        return coerce(given[name])
    except Invalid as invalid:
        raise WireError.invalid({name: [f"The {field_label(name)} {invalid.reason}"]}) from None
