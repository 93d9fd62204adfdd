"""Any JSON body gets a response of a documented shape, and never an internal error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialects.a1111.options.table import OPTIONS
from dialects.a1111.request.infotext_overrides import KNOWN_LABELS
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from jobs.images.infotext.parser import parse_infotext, with_implied_values

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
SOME_PAIRS = [
    f"{name}: {value}" for name in sorted(KNOWN_LABELS) for value in ("1", "x", "-0.5", "8x8", '"a, b"')
]
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_response(response) -> None:
    body = response.json()
    assert response.status_code in (200, 400, 404, 422, 500, 503)
    assert body is None or "detail" in body
    assert body is None or body.get("error") != "InternalError"


@FUZZ
@given(body=st.dictionaries(st.sampled_from([*TXT2IMG]), VALUES))
def test_txt2img_handles_any_body(alice, body) -> None:
    check_response(alice.post("txt2img", body))


@FUZZ
@given(body=st.dictionaries(st.sampled_from([*IMG2IMG]), VALUES))
def test_img2img_handles_any_body(alice, body) -> None:
    check_response(alice.post("img2img", body))


@FUZZ
@given(body=st.dictionaries(st.sampled_from([*OPTIONS]), VALUES), overriding=st.booleans())
def test_options_handle_any_body(alice, body, overriding) -> None:
    check_response(
        alice.post("txt2img", {"override_settings": body}) if overriding else alice.post("options", body)
    )
    assert alice.get("options").status_code == 200


@FUZZ
@given(
    text=st.text(max_size=200)
    | st.from_regex(r"(a|\n|Negative prompt: |Steps: |Size: 9x9, |Seed: 1, |\"|,|: ){0,12}")
)
def test_any_text_can_be_parsed_as_an_infotext(text) -> None:
    pairs = with_implied_values(parse_infotext(text))
    assert isinstance(pairs["Prompt"], str)
    assert json.dumps(pairs)


@FUZZ
@given(text=st.lists(st.sampled_from(SOME_PAIRS), min_size=3, max_size=6).map(", ".join))
def test_txt2img_handles_any_infotext(alice, text) -> None:
    check_response(alice.post("txt2img", {"infotext": f"x\n{text}"}))
