"""Sample of the visible label on the Images tab of a source: drawn as outputs are, and never a broken image."""

import io

import numpy as np
import pytest
from PIL import Image

SAMPLE = "/admin/labels/sample/"


@pytest.fixture
def sample(ops):
    """Pixels of the sample with these values of the form."""

    def sample(**values) -> np.ndarray:
        response = ops.get(SAMPLE, {"explicit_label": "on"} | values)
        assert response.status_code == 200, response.content
        return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(int)

    return sample


def box(first: np.ndarray, second: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the pixels that differ, relative to the middle."""
    rows, columns = np.nonzero(np.abs(first - second).sum(axis=2) > 40)
    height, width = first.shape[:2]
    return rows.min(), height - rows.max(), columns.min(), width - columns.max()


def test_sample_has_the_text_in_its_corner_and_grows_with_the_height(sample):
    left, right = sample(label_corner="top-left"), sample(label_corner="bottom-right", label_height="5")
    top, bottom, to_left, to_right = box(left, right)
    assert max(top, bottom, to_left, to_right) < 40  # both corners, and nothing else
    large = sample(label_corner="bottom-right", label_height="15")
    assert box(large, left)[1] < 60
    changed = [np.abs(each - left).sum(axis=2)[192:, 256:] > 40 for each in (right, large)]
    assert changed[1].sum() > 3 * changed[0].sum()


def test_empty_fields_are_those_of_the_platform(sample, settings):
    settings.LABEL_CORNER, settings.LABEL_TEXT = "top-left", "AI生成"
    given = sample(label_corner="top-left", label_text="AI生成")
    assert (sample() == given).all()
    assert (sample(label_text="AI-generated image") != given).any()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"label_text": "nice"}, "must contain"),
        ({"label_height": "400"}, "label height"),
        ({"label_height": "x"}, "label height"),
        ({"label_opacity": "nan"}, "label opacity"),
        ({"label_corner": "middle"}, "label corner"),
        ({"label_text": "AI生成\0"}, "label text"),
    ],
    ids=["words", "height", "number", "nan", "corner", "nul"],
)
def test_values_without_a_sample_are_explained(ops, values, reason):
    response = ops.get(SAMPLE, {"explicit_label": "on"} | values)
    assert response.status_code == 422
    assert reason in response.json()["detail"].lower()


def test_sample_without_a_label_says_so(ops, settings):
    settings.EXPLICIT_LABEL = False
    assert (
        ops.get(SAMPLE).headers["X-Label"]
        == ops.get(SAMPLE, {"explicit_label": "off"}).headers["X-Label"]
        == "off"
    )
    assert ops.get(SAMPLE).content != ops.get(SAMPLE, {"explicit_label": "on"}).content


def test_images_tab_shows_the_sample_of_the_stored_values(ops, source):
    source.label_text = "AI-generated"
    source.save()
    page = ops.get(f"/admin/access/businesssource/{source.pk}/change/?tab=images").content.decode()
    assert f"{SAMPLE}?label_text=AI-generated" in page
    assert SAMPLE not in ops.get(f"/admin/access/businesssource/{source.pk}/change/").content.decode()


def test_sample_needs_the_permission_to_see_sources(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    assert client.get(SAMPLE).status_code == 403
