"""The ``AIGC`` object of GB 45438: who generated an image, and under which number. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping

KEY = "AIGC"
GENERATED = "1"  # "2": may be generated, "3": is suspected to be
KEYS = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)


def aigc_object(producer: str, propagator: str, number: str, own: Mapping[str, str]) -> dict[str, str]:
    """The object of one image; empty if there is neither a provider nor a value of the request.

    ``number``: the image's. ``own``: values of the request, which take precedence.
    """
    given = {key: own[key] for key in KEYS if own.get(key)}
    if not producer:
        return {"Label": GENERATED} | given if given else {}
    values = {
        "Label": GENERATED,
        "ContentProducer": producer,
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": propagator,
        "PropagateID": number,
        "ReservedCode2": "",
    }
    return values | given


def as_json(values: Mapping[str, str]) -> str:
    return json.dumps(values, ensure_ascii=False)


def parsed(text: str) -> dict[str, str]:
    """The AIGC object in a text: bare, or as the member ``AIGC`` of an object. Empty if there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, dict) and isinstance(found.get(KEY), dict):
        found = found[KEY]
    if not isinstance(found, dict) or "Label" not in found:
        return {}
    return {key: str(found[key])[:1000] for key in KEYS if isinstance(found.get(key), str | int)}
