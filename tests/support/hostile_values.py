"""Values that a client should not send, and bodies with one of them in the place of a right value."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Path = tuple[str | int, ...]

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,  # the same requests in every run, unless asked for more
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _nested(levels: int, opening: str, closing: str) -> str:
    return opening * levels + "1" + closing * levels


def literal(text: str) -> str:
    """A placeholder that ``encoded`` replaces by this text, for JSON that Python cannot write."""
    return f"@@{base64.b16encode(text.encode()).decode()}@@"


LITERAL = re.compile(r'"@@([0-9A-F]*)@@"')
PNG_OF_2_GIGAPIXELS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\x7f\xff\x08\2\0\0\0\xa3\x9b\x14\x93"
NUMBERS: list[Any] = [
    0,
    -1,
    1,
    7,
    2**31,
    2**32,
    2**63,
    -(2**63) - 1,
    2**64,
    10**400,
    -(10**400),
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    literal("1e999"),
    literal("9" * 5000),
    literal("1" + "0" * 4200 + ".0"),
    literal("0." + "1" * 5000),
]
TEXTS = [
    "",
    " ",
    "a",
    "1",
    "-1",
    "1.5",
    "9" * 400,
    "9" * 5000,
    "NaN",
    "Infinity",
    "1e999",
    "1_0",
    "\uff11\uff12",
    "\u00b2",
    "\u0661",
    "true",
    "null",
    "{}",
    "[]",
    "[1, 2]",
    '{"a": 1}',
    "[" * 3000,
    _nested(90, "[", "]"),
    _nested(3000, '{"a":', "}"),
    "(" * 3000,
    "((((a:1e999):2)",
    "a:" * 500,
    "<lora:" * 200,
    "<lora:a:1e999>",
    "<lora:a:nan>",
    "[a:b:1e999]",
    "[a|b]" * 300,
    "a" * 300,
    "a" * 30_000,
    "a" * 200_000,
    "\u0130" * 300,
    "\U0001f600" * 300,
    "e\u0301" * 300,
    "\u202e\u2028\ufeff",
    "\r\n\t\v\f",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfff",
    "%s%d%(a)s{0}{a}",
    "'\"\\`",
    "../../etc/passwd",
    "C:\\models\\a",
    "2026-13-45",
    "00000000-0000-0000-0000-000000000000",
    "data:image/png;base64,",
    "data:image/png;base64,AAAA",
    "data:text/plain,a",
    base64.b64encode(PNG_OF_2_GIGAPIXELS).decode(),
    base64.b64encode(b"GIF89a").decode(),
    "http://[",
    "http://[::1",
    "http://127.0.0.1:99999/",
    "http:///a",
    "https://\u2100.example/",
    "http://a\0b/",
    "http://" + "a" * 300 + "/",
    "http://" + "a." * 200 + "/",
    "http://a b/",
    "http://user:pass@127.0.0.1:1/",
    "http://127.0.0.1:1/" + "a" * 1900,
    "http://0x7f.1/",
    "file:///etc/passwd",
    "http://\ud800/",
]
CONTAINERS: list[Any] = [
    [],
    [None],
    [True],
    [1],
    [1.5],
    ["a"],
    ["\0"],
    ["\ud800"],
    [""],
    [[]],
    [{}],
    ["a", "b"],
    [["a", 1]],
    [["a"]],
    [[[], 1]],
    [1] * 2000,
    ["a"] * 2000,
    [10**400],
    literal(_nested(90, "[", "]")),
    literal(_nested(200, "[", "]")),
    literal(_nested(50_000, "[", "]")),
    {},
    {"a": 1},
    {"a": None},
    {"": ""},
    {"\0": 1},
    {"\ud800": 1},
    {"a": {"b": [{}]}},
    {"a" * 300: 1},
    {"a": 10**400},
    {str(number): number for number in range(500)},
    literal(_nested(90, '{"a":', "}")),
    literal(_nested(5000, '{"a":', "}")),
    literal('{"a": 1, "a": 2}'),
]
VALUES: list[Any] = [None, True, False, *NUMBERS, *TEXTS, *CONTAINERS]
# What can be sent outside of JSON: in query strings, forms and paths.
ENCODABLE = [text for text in TEXTS if len(text) <= 5000 and not re.search("[\ud800-\udfff]", text)]
# Of headers, a server passes on all bytes but CR, LF and NUL, decoded as Latin-1.
HEADERS = [
    "",
    " ",
    "a",
    "9" * 400,
    "-1",
    "\xff\xfe",
    "\xe4\xb8\xad\xe6\x96\x87",
    "\x01\x7f",
    "a" * 5000,
    "\xb2",
    "{}",
    "Basic",
    "Basic \xff",
    "Basic ////",
    "Basic OnOg",
    "Bearer",
    "Bearer :",
    "Bearer \xe4:\xe4",
    "HMAC-SHA256 ",
    "HMAC-SHA256 Credential=a/2/b/c/request, SignedHeaders=;, Signature=\xff",
    "application/json; charset=\xff",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded; charset=gbk",
    "multipart/form-data",
    "multipart/form-data; boundary=\xff",
    "multipart/form-data; boundary=" + "a" * 5000,
    "text/plain",
    "gzip",
    "bytes=0-\xb2",
    'W/"a',
    "Fri, 99 Foo 2026 00:00:00 GMT",
]


def encoded(body: Any) -> bytes:
    """The body as JSON, with NaN, infinity and lone surrogates as Python writes them, and with literals."""
    text = json.dumps(body)
    return LITERAL.sub(lambda match: base64.b16decode(match[1]).decode(), text).encode()


def paths(body: Any, prefix: Path = ()) -> Iterator[Path]:
    """The place of every value in the body: of members and items at any depth, and of the body itself."""
    yield prefix
    children = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in children:
        yield from paths(value, (*prefix, name))


def replaced(body: Any, path: Path, value: Any) -> Any:
    """A copy of the body with the value at this place."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    parent = changed
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = value
    return changed


def bodies(right: dict[str, Any], fields: Iterable[str] = ()) -> st.SearchStrategy[Any]:
    """Bodies with one to three hostile values. ``fields``: further members that ``right`` does not have."""
    places = [*paths(right), *((name,) for name in fields if name not in right)]
    changes = st.lists(st.tuples(st.sampled_from(places), st.sampled_from(VALUES)), min_size=1, max_size=3)
    return changes.map(lambda chosen: _changed(right, chosen))


def _changed(body: Any, changes: list[tuple[Path, Any]]) -> Any:
    for path, value in changes:
        try:
            body = replaced(body, path, value)
        except (KeyError, IndexError, TypeError):  # an earlier change removed the place
            continue
    return body


# A unit of ADetailer with every kind of value, for the dialects that accept them.
ADETAILER_UNIT = {
    "ad_model": "face_yolov8n.pt",
    "ad_model_classes": "",
    "ad_prompt": "a cat [SEP] [SKIP]",
    "ad_confidence": 0.3,
    "ad_mask_filter_method": "Area",
    "ad_mask_k": 2,
    "ad_dilate_erode": 4,
    "ad_x_offset": 1,
    "ad_mask_merge_invert": "None",
    "ad_mask_blur": 4,
    "ad_inpaint_only_masked": True,
    "ad_use_inpaint_width_height": True,
    "ad_inpaint_width": 64,
    "ad_use_steps": True,
    "ad_steps": 3,
    "ad_use_cfg_scale": True,
    "ad_cfg_scale": 7.0,
    "ad_use_checkpoint": True,
    "ad_checkpoint": "Use same checkpoint",
    "ad_use_vae": True,
    "ad_vae": "Automatic",
    "ad_use_sampler": True,
    "ad_sampler": "Euler a",
    "ad_scheduler": "Karras",
    "ad_use_clip_skip": True,
    "ad_clip_skip": 2,
    "ad_controlnet_model": "canny",
    "ad_controlnet_module": "canny",
    "ad_controlnet_guidance_end": 0.9,
}
