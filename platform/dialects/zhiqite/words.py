"""Our refusals in the vendor's words: which of its fields a field of the canonical request comes from."""

from __future__ import annotations

WIRE_NAMES: dict[str, str] = {
    "num_inference_steps": "steps",
    "num_images": "n_iter * batch_size",
    "hires.num_inference_steps": "hr_second_pass_steps",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
    "output_width": "width",
    "output_height": "height",
    "callback": "callbackUrl",
}


def wire_words(message: str, field: str | None) -> str:
    return message.replace(field, WIRE_NAMES.get(field, field)) if field else message
