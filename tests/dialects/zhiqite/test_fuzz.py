"""Any JSON body gets an envelope, and never an internal error."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialects.zhiqite.request.fields_v2 import GenerationV2, Overrides, Scripts, Unit
from dialects.zhiqite.request.fields_v3 import External, Image2ImageV3, Text2ImageV3
from dialects.zhiqite.request.text_tools import TEXT_TOOLS
from dialects.zhiqite.request.tools.catalog import TOOLS
from tests.dialects.zhiqite.conftest import generation_body

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fields_of(model):
    return st.dictionaries(st.sampled_from([*model.model_fields]), VALUES)


def check(response) -> None:
    assert set(response) == {"code", "msg", "data"}
    assert response["code"] in ("200", "400")
    assert response["msg"] != "Internal error."


@FUZZ
@given(body=fields_of(GenerationV2), scripts=fields_of(Scripts), complete=st.booleans())
def test_v2_accepts_any_json(alice, body, scripts, complete) -> None:
    check(alice.post("sd/v2/image2image", generation_body(scripts) | body if complete else body))


@FUZZ
@given(unit=fields_of(Unit), settings=fields_of(Overrides))
def test_units_and_settings_accept_any_json(alice, unit, settings) -> None:
    scripts = {"controlnet": {"args": [unit]}, "override_settings": settings}
    check(alice.post("sd/v2/controlnet", generation_body(scripts)))


@FUZZ
@given(
    body=fields_of(Text2ImageV3) | fields_of(Image2ImageV3), external=fields_of(External), image=st.booleans()
)
def test_v3_accepts_any_json(alice, body, external, image) -> None:
    path = "sd/v3/image2Image" if image else "sd/v3/text2Image"
    named = {"baseModelCode": "shapes", "businessTaskId": "a", **external}
    check(alice.post(path, {"prompt": "a", "saasDrawingExternalImageParameterBO": named, **body}))


@FUZZ
@given(data=st.data(), tool=st.sampled_from([*TOOLS]))
def test_tools_and_queries_accept_any_json(alice, data, tool) -> None:
    body = data.draw(fields_of(TOOLS[tool]) | st.fixed_dictionaries({"businessTaskId": VALUES}))
    check(alice.post(f"tool/{tool}", body))
    check(alice.post(f"tool/{tool}/queryTask", body))
    check(alice.post("sd/v2/queryTaskInfo", body))


@FUZZ
@given(data=st.data(), tool=st.sampled_from([*TEXT_TOOLS]))
def test_text_tools_accept_any_json(alice, text_model, data, tool) -> None:
    check(alice.post(f"tool/{tool}", data.draw(fields_of(TEXT_TOOLS[tool]))))
