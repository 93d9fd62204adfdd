"""What the vendor offers and this platform does not, each with its reason."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

FACES = _("this needs models that know whose a face is, and there are none here")
FINDING = _("faces are found here only where they are to be restored")
WORDS = _("this needs a language model, and there is none here")
SEEING = _("this needs a model that describes pictures, and there is none here")
TRAINING = _("models are not trained here; put their files into the registry")
FLUX = _("Flux checkpoints cannot be drawn with here")
REMOVING = _("there is no model here that finds watermarks; use erase with a mask")
REFUSED = {
    "roop": FACES,
    "v2/roop": FACES,
    "face/fusion": FACES,
    "face/detection": FINDING,
    "instantID": FACES,
    "hair/change": FACES,
    "interrogate": SEEING,
    "identifyStyle": SEEING,
    "prompts/expand": WORDS,
    "comfyui/text2image": FLUX,
    "watermark/remove": REMOVING,
}
