"""Fields of videos, beside those that every endpoint has."""

from __future__ import annotations

from dialects.stablediffusionapi.coercion import Coercion, between, integer, number, one_of
from gpu_runner.protocol.request_parts.video import MAX_FRAMES

LARGEST = 1440  # pixels
MAX_SECONDS = 60

VIDEO: dict[str, Coercion] = {
    "num_frames": between(integer, 2, MAX_FRAMES),
    "fps": between(number, 1, 60),
    "seconds": between(number, 0.1, MAX_SECONDS),
    "output_type": one_of("mp4"),  # the workflow decides the format; the vendor has GIF, too
    "width": between(integer, 64, LARGEST),
    "height": between(integer, 64, LARGEST),
}
FIELDS: dict[str, dict[str, Coercion]] = {"text2video": VIDEO, "img2video": VIDEO}
REQUIRED: dict[str, tuple[str, ...]] = {"text2video": ("prompt",), "img2video": ("init_image",)}
