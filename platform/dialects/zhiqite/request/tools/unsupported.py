"""Tools of the vendor that this platform does not have, with the reason. Paths marked [R] are our reading of the menu."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

FACE_SWAP = _(
    "faces are not swapped: the public weights (inswapper, and the face embeddings of InsightFace) forbid"
    " commercial use"
)
FACE_IDENTITY = _(
    "portraits of a person are not drawn: the public face embeddings (InsightFace) forbid commercial use"
)
HAIR = _("hair is not changed: the public face parsing weights are for non-commercial use only")
VIDEO = _("this server generates videos, but does not edit them")
NO_VIDEO = _(
    "no videos are made here; an operator can add a workflow template for ComfyUI whose output is a video, and a rule"
)
AUDIO = _("this server processes images only, no audio")
REFUSED = {
    "roop": FACE_SWAP,
    "v2/roop": FACE_SWAP,
    "face/fusion": FACE_SWAP,
    "instantID": FACE_IDENTITY,
    "hair/change": HAIR,
}
# Below saas/: a path of the menu, or a prefix of further ones, and the reason. [R]
REFUSED_AREAS = {
    "video": VIDEO,  # watermark/add, rembg, resize, enlarge, interpolate, convert
    "audio": AUDIO,  # separate, text2music, tts, lyrics
}
