"""``/png-info``: read the generation parameters from an image's metadata."""

from __future__ import annotations

from typing import Any

from access.models import AccessKey, BusinessSource
from dialects.a1111.errors import Unprocessable
from dialects.a1111.request.image_urls import with_fetched_images
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import string
from dialects.a1111.schema.fields import Field, parse
from jobs.images.infotext.parser import parse_infotext, with_implied_values
from jobs.images.infotext.reader import read_metadata
from models_registry.models import PromptStyle
from models_registry.selectors import styles_for

FIELDS = {"image": Field(string, nullable=False)}
PLACEHOLDER = "{prompt}"


def png_info(key: AccessKey, body: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Response body of png-info. Raises Unprocessable or WireError."""
    if "image" not in body:
        raise Unprocessable.at(("body", "image"), "field required", "value_error.missing")
    fetched = with_fetched_images({"image": body["image"]}, key.source, base_url)
    image = parse(FIELDS, fetched)["image"]
    text, items = read_metadata(images.decode(image.strip(), "image"))
    return {"info": text, "items": items, "parameters": parameters(text, key.source)}


def parameters(text: str, source: BusinessSource) -> dict[str, Any]:
    pairs = with_implied_values(parse_infotext(text))
    prompt, negative, styles = without_styles(pairs["Prompt"], pairs["Negative prompt"], source)
    if not styles:
        return pairs
    return pairs | {"Prompt": prompt, "Negative prompt": negative, "Styles array": styles}


def without_styles(prompt: str, negative: str, source: BusinessSource) -> tuple[str, str, list[str]]:
    """Remove the texts of the source's styles from the prompts.

    Returns both prompts and the names of the removed styles, in the order in which they were applied.
    """
    styles, found = list(styles_for(source)), []
    while style := next((style for style in styles if _contains_style(style, prompt, negative)), None):
        prompt, negative = (
            _without_style(style.prompt, prompt),
            _without_style(style.negative_prompt, negative),
        )
        styles.remove(style)
        found.append(style.name)
    return prompt, negative, found[::-1]


def _contains_style(style: PromptStyle, prompt: str, negative: str) -> bool:
    if not style.prompt and not style.negative_prompt:
        return False
    pairs = ((style.prompt, prompt), (style.negative_prompt, negative))
    return all(_without_style(text, prompt_text) is not None for text, prompt_text in pairs)


def _without_style(style: str, prompt_text: str) -> Any:
    """Return the prompt without the style's text, or None if it does not contain the style."""
    if not style:
        return prompt_text
    before, placeholder, after = style.partition(PLACEHOLDER)
    if placeholder:
        is_inside = (
            prompt_text.startswith(before)
            and prompt_text.endswith(after)
            and len(prompt_text) >= len(before) + len(after)
        )
        return prompt_text[len(before) : len(prompt_text) - len(after)] if is_inside else None
    if prompt_text == style:
        return ""
    return prompt_text.removesuffix(f", {style}") if prompt_text.endswith(f", {style}") else None
