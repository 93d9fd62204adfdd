"""Image, video, 3D and chat tools of the vendor that this platform refuses, each with the reason."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

BLIP = _("it needs BLIP-Diffusion, whose model is not supported")
MIXER = _("it needs image variations by CLIP (Karlo, IP-Adapter), which are not supported; use magic_mix")
MASK = _("it needs a model that finds objects by their name, which is not supported; send a mask_image")
FACES = _("it needs face recognition models, whose licenses forbid commercial use")
FASHION = _("it needs a virtual try-on model, which is not supported")
QWEN = _("Qwen-Image-Edit is not supported; use pix2pix")
VIEWS = _("it needs a model of several views (Zero123), which is not supported")
VIDEO = _(
    "no video models are available; an operator can add a workflow template for ComfyUI whose output is a video, and a rule"
)
VIDEO_TOOLS = _("videos are generated, but not edited")
SOLIDS = _("no 3D models are available")
CHAT = _("this server generates images; it has no chat")


_EDITING: dict[str, Promise] = {
    "blip_diffusion": BLIP,
    "img_mixer": MIXER,
    "mask_creator": MASK,
    "face_gen": FACES,
    "head_shot": FACES,
    "flux_headshot": FACES,
    "fashion": FASHION,
    "qwen_edit": QWEN,
    "multiview": VIEWS,
}
# By path below /api/; paths with more parts, such as an id, are covered.
TOOLS: dict[str, Promise] = {
    **{
        f"{folder}/{name}": reason
        for folder in ("v5", "v6/image_editing")
        for name, reason in _EDITING.items()
    },
    "v5/image_mixer": MIXER,
    "v6/faceswap": FACES,
    "v6/deepfake": FACES,
    "v6/video": VIDEO_TOOLS,  # what is not an endpoint of its own
    "v3/txt_to_3d": SOLIDS,
    "v3/img_to_3d": SOLIDS,
    "v6/3d": SOLIDS,
    "v6/llm": CHAT,
    "v6/uncensored_chat": CHAT,
}
