"""Tools of the vendor that this platform does not have, with the reason."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

FACE_IDENTITY = _("face-identity models are not available")
FACE_DETECTION = _("face detection is available only as a part of face restoration")
LANGUAGE_MODEL = _("a language model is not available")
CAPTIONING = _("an image captioning model is not available")
TRAINING = _("model training is not supported; add the model files to the registry")
FLUX = _("Flux checkpoints are not supported")
WATERMARK_REMOVAL = _("a watermark detection model is not available; use erase with a mask")
REFUSED = {
    "roop": FACE_IDENTITY,
    "v2/roop": FACE_IDENTITY,
    "face/fusion": FACE_IDENTITY,
    "face/detection": FACE_DETECTION,
    "instantID": FACE_IDENTITY,
    "hair/change": FACE_IDENTITY,
    "interrogate": CAPTIONING,
    "identifyStyle": CAPTIONING,
    "prompts/expand": LANGUAGE_MODEL,
    "comfyui/text2image": FLUX,
    "watermark/remove": WATERMARK_REMOVAL,
}
