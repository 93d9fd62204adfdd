"""The tools by their path, and the submission of each use."""

from __future__ import annotations

from access.models import AccessKey
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.request import common
from dialects.zhiqite.request.input_images import InputImages
from jobs.admission.submission import Submission
from jobs.outbound.callbacks.outbox import CallbackRequest

from .analysis_tools import (
    IDENTIFY_STYLE,
    INTERROGATE,
    FaceDetection,
    IdentifyStyle,
    ImageAudit,
    Interrogate,
)
from .base import TOOL, Tool
from .image_tools import ControlPreview, Enlarge, FaceRestore, Rembg, SuperResolution, Watermark
from .inpainting import Erase, ImgExpand, RemoveMark
from .video_tools import IMAGE_TO_VIDEO, ImageToVideo
from .workflow_tools import TEXT_TO_IMAGE, ComfyTextToImage

TOOLS: dict[str, type[Tool]] = {
    "imgExpand": ImgExpand,
    "erase": Erase,
    "enlarge": Enlarge,
    "superResolution": SuperResolution,
    "rembg": Rembg,
    "cnt/preview": ControlPreview,
    "faceRestore": FaceRestore,
    "watermark/add": Watermark,
    "watermark/remove": RemoveMark,
    TEXT_TO_IMAGE: ComfyTextToImage,
    IMAGE_TO_VIDEO: ImageToVideo,
    "face/detection": FaceDetection,
    "image/audit": ImageAudit,  # [R]
    INTERROGATE: Interrogate,
    IDENTIFY_STYLE: IdentifyStyle,
}


def read_submission(code: str, key: AccessKey, body: Tool, base_url: str) -> Submission:
    """The submission of a tool's body; ``code`` is its path. Raises WireError or Refused."""
    inputs = InputImages(key.source, base_url)
    fields = {
        "output_format": common.output_format(getattr(body, "targetImageFormat", "png")),
        **body.request_fields(key.source, inputs),
    }
    request = common.validated(fields)
    used = request.input_hashes()
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=TOOL + code,
        request=request,
        received=body.received(),
        input_files={sha256: data for sha256, data in inputs.files.items() if sha256 in used},
        external_id=body.businessTaskId,
        id_may_repeat=True,
        lane=body.lane,
        styles=body.styles,
        callback=CallbackRequest(body.callbackUrl, base_url=base_url) if body.callbackUrl else None,
    )
