"""Generation endpoints by their path below /api/, which is stored as the operation of their jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal[
    "text2img",
    "img2img",
    "inpaint",
    "controlnet",
    "super_resolution",
    # Image editing.
    "removebg",
    "enlarge",  # super_resolution
    "outpaint",  # of v5
    "uncrop",  # outpaint of v6
    "mixture_canvas",
    "edit_inpaint",  # inpaint
    "object_removal",
    "pix2pix",
    "magic_mix",
    "depth2img",
    "interior",
    # Videos, by a workflow template of ComfyUI.
    "text2video",
    "img2video",
    # Findings instead of images.
    "nsfw_check",
    "caption",
]


VIDEO_TASKS = ("text2video", "img2video")


@dataclass(frozen=True)
class Endpoint:
    """A generation endpoint. ``fetch`` is the path of its fetch endpoint."""

    path: str
    task: Task
    fetch: str
    community: bool = False  # models are named by model_id, and ``meta`` has more fields
    needs_model: bool = False
    one_output: bool = False  # ``output`` is a URL instead of a list

    @property
    def makes_videos(self) -> bool:
        return self.task in VIDEO_TASKS

    @property
    def edition(self) -> str:
        return self.path.partition("/")[0]


def edition_of(path: str) -> str:
    """The edition of a path below /api/, such as v3."""
    return path.partition("/")[0]


def _community(folder: str, fetch: str, *, needs_model: bool) -> list[Endpoint]:
    tasks: tuple[Task, ...] = ("text2img", "img2img", "inpaint")
    return [
        Endpoint(f"{folder}/{task}", task, fetch, community=True, needs_model=needs_model) for task in tasks
    ]


def _editing(folder: str, *single: Task, **tasks: Task) -> list[Endpoint]:
    """Endpoints of image editing, by their names below ``folder``. Tasks in ``single`` have one output."""
    return [
        Endpoint(f"{folder}/{name}", task, f"{folder}/fetch", one_output=task in single)
        for name, task in tasks.items()
    ]


# The vendor's responses of v4 and v5 name the fetch path of v3, too.
DREAMBOOTH_FETCH = "v3/dreambooth/fetch"
ENTERPRISE = "v1/enterprise"  # v4 and v5 for customers with servers of their own
_ALL = [
    Endpoint("v3/text2img", "text2img", "v3/fetch"),
    Endpoint("v3/img2img", "img2img", "v3/fetch"),
    Endpoint("v3/inpaint", "inpaint", "v3/fetch"),
    Endpoint("v3/super_resolution", "super_resolution", "v3/fetch", one_output=True),
    Endpoint("v3/dreambooth", "text2img", DREAMBOOTH_FETCH, community=True, needs_model=True),
    Endpoint("v4/dreambooth", "text2img", DREAMBOOTH_FETCH, community=True, needs_model=True),
    *_community("v3/dreambooth", DREAMBOOTH_FETCH, needs_model=True),
    *_community("v4/dreambooth", DREAMBOOTH_FETCH, needs_model=True),
    *_community(ENTERPRISE, f"{ENTERPRISE}/fetch", needs_model=True),
    Endpoint(f"{ENTERPRISE}/controlnet", "controlnet", f"{ENTERPRISE}/fetch", community=True),
    Endpoint(f"{ENTERPRISE}/super_resolution", "super_resolution", f"{ENTERPRISE}/fetch", one_output=True),
    Endpoint("v6/image_editing/caption", "caption", "v6/image_editing/fetch"),
    Endpoint("v3/nsfw_image_check", "nsfw_check", "v3/fetch"),
    Endpoint(f"{ENTERPRISE}/nsfw_image_check", "nsfw_check", f"{ENTERPRISE}/fetch"),
    *_community("v6/images", "v6/images/fetch", needs_model=True),
    *_community("v6/realtime", "v6/realtime/fetch", needs_model=False),
    Endpoint("v5/controlnet", "controlnet", DREAMBOOTH_FETCH, community=True),
    Endpoint("v6/images/controlnet", "controlnet", "v6/images/fetch", community=True),
    *_editing(
        *("v5", "enlarge", "pix2pix"),
        removebg_mask="removebg",
        super_resolution="enlarge",
        outpaint="outpaint",
        mixture_canvas="mixture_canvas",
        inpaint="edit_inpaint",
        object_removal="object_removal",
        pix2pix="pix2pix",
        magic_mix="magic_mix",
        depth2img="depth2img",
        interior="interior",
    ),
    *_editing(
        "v6/image_editing",
        removebg_mask="removebg",
        super_resolution="enlarge",
        outpaint="uncrop",
        inpaint="edit_inpaint",
        object_removal="object_removal",
        pix2pix="pix2pix",
        magic_mix="magic_mix",
        depth2img="depth2img",
    ),
    Endpoint("v3/text2video", "text2video", "v3/fetch"),
    Endpoint("v5/text2video", "text2video", "v5/fetch"),
    Endpoint("v4/dreambooth/text2video", "text2video", DREAMBOOTH_FETCH),
    Endpoint(f"{ENTERPRISE}/text2video", "text2video", f"{ENTERPRISE}/fetch"),
    *(
        Endpoint(f"v6/video/{name}", "text2video", "v6/video/fetch")
        for name in ("text2video", "text2video_ultra")
    ),
    *(
        Endpoint(f"v6/video/{name}", "img2video", "v6/video/fetch")
        for name in ("img2video", "img2video_ultra")
    ),
]
ENDPOINTS: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in _ALL}
