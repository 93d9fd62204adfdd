"""Whatever JSON comes, the answer is an envelope and never our own error."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialects.zhiqite.request.fields_v2 import Drawing, Overrides, Scripts, Unit
from dialects.zhiqite.request.fields_v3 import External, ImageV3, TextV3
from dialects.zhiqite.request.tools import TOOLS
from tests.dialects.zhiqite.conftest import drawing

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def some_of(model):
    return st.dictionaries(st.sampled_from([*model.model_fields]), VALUES)


def answered(told) -> None:
    assert set(told) == {"code", "msg", "data"}
    assert told["code"] in ("200", "400")
    assert told["msg"] != "Internal error."


@FUZZ
@given(body=some_of(Drawing), scripts=some_of(Scripts), sound=st.booleans())
def test_v2_answers_anything(alice, body, scripts, sound) -> None:
    answered(alice.post("sd/v2/image2image", drawing(scripts) | body if sound else body))


@FUZZ
@given(unit=some_of(Unit), settings=some_of(Overrides))
def test_units_and_settings_answer_anything(alice, unit, settings) -> None:
    scripts = {"controlnet": {"args": [unit]}, "override_settings": settings}
    answered(alice.post("sd/v2/controlnet", drawing(scripts)))


@FUZZ
@given(body=some_of(TextV3) | some_of(ImageV3), external=some_of(External), image=st.booleans())
def test_v3_answers_anything(alice, body, external, image) -> None:
    path = "sd/v3/image2Image" if image else "sd/v3/text2Image"
    named = {"baseModelCode": "shapes", "businessTaskId": "a", **external}
    answered(alice.post(path, {"prompt": "a", "saasDrawingExternalImageParameterBO": named, **body}))


@FUZZ
@given(data=st.data(), tool=st.sampled_from([*TOOLS]))
def test_tools_and_queries_answer_anything(alice, data, tool) -> None:
    body = data.draw(some_of(TOOLS[tool]) | st.fixed_dictionaries({"businessTaskId": VALUES}))
    answered(alice.post(f"tool/{tool}", body))
    answered(alice.post(f"tool/{tool}/queryTask", body))
    answered(alice.post("sd/v2/queryTaskInfo", body))
