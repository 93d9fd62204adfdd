"""Gallery: what a page shows, in which order, by which filter, and to whom."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from console.gallery import pages
from console.models import Favorite
from jobs.models import Output, OutputKind
from models_registry.models import Kind, ModelFile

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

GALLERY = "/admin/gallery/"


@pytest.fixture
def shown(ops):
    def shown(client=ops, **query):
        return [output.pk for output in client.get(GALLERY, query).context["page"].outputs]

    return shown


def pks(*outputs):
    return [output.pk for output in outputs]


def test_newest_job_is_first_and_images_of_a_job_keep_their_order(generated, shown):
    old, new = generated("red", "blue", age=5), generated("green", "white", age=1)
    assert shown() == pks(*new, *old)


def test_page_shows_infotext_and_links(generated, ops):
    image = generated("red")[0]
    text = ops.get(GALLERY).content.decode()
    assert "infotext of red" in text
    assert reverse("admin:jobs_job_thumbnail", args=[image.job_id, 0]) in text
    assert f"/admin/playground/?job={image.job_id}&amp;image=0" in text


def test_only_images_are_shown(generated, shown):
    image = generated("red")[0]
    for kind in (OutputKind.CONTROL_MAP, OutputKind.MARKED):
        fields = {"sha256": "0" * 64, "size_bytes": 1, "width": 8, "height": 8, "seed": 1}
        Output.objects.create(job=image.job, kind=kind, index=0, file="x.png", **fields)
    assert shown() == [image.pk]


def test_pages_follow_each_other_without_gap_also_within_a_job(generated, ops, monkeypatch):
    monkeypatch.setattr(pages, "PAGE_SIZE", 2)
    monkeypatch.setattr(pages, "WINDOWS", (1, 2))
    images = [*generated(*["red"] * 5, age=1), *generated("blue", age=2), *generated("green", age=3)]
    generated(age=4)  # without images
    images += generated("white", age=5)
    url, seen, rounds = GALLERY, [], 0
    while url and rounds < 20:
        response = ops.get(url)
        seen += [output.pk for output in response.context["page"].outputs]
        url = GALLERY + response.context["older"] if response.context["older"] else None
        rounds += 1
    assert seen == pks(*images)


def test_filters_without_index_say_how_far_they_searched(generated, ops, monkeypatch):
    monkeypatch.setattr(pages, "WINDOWS", (1, 2))
    for age in range(4):
        generated("red", age=age)
    rare = generated("red", age=9, prompt="a purple hippopotamus")
    response = ops.get(GALLERY, {"words": "hippopotamus"})
    assert response.context["page"].outputs == []
    assert "Searched back to" in response.content.decode()
    while not response.context["page"].outputs:
        response = ops.get(GALLERY + response.context["older"])
    assert pks(*response.context["page"].outputs) == pks(*rare)


def test_filters_by_source_key_dialect_and_checkpoint(
    generated, shown, source, other_source, key, checkpoint
):
    mine = generated("red")
    other = generated("blue", age=1, source=other_source, key=None, dialect="native")
    assert shown(source=source.pk) == pks(*mine)
    assert shown(key=key.key_id) == pks(*mine)
    assert shown(key="unknown") == []
    assert shown(dialect="native") == pks(*other)
    assert shown(checkpoint="shapes") == pks(*mine, *other)
    assert shown(checkpoint="unknown") == []


def test_filter_by_lora(generated, shown):
    ModelFile.objects.create(
        kind=Kind.LORA, family="sd15", name="night", path="loras/night.safetensors", sha256="1" * 64
    )
    with_lora = generated("red", loras=({"name": "night"},))
    generated("blue")
    assert shown(lora="night") == pks(*with_lora)


def test_filter_by_words_of_the_prompt(generated, shown):
    cat = generated("red", prompt="A Red cat on a sofa")
    chinese = generated("blue", prompt="一只红色的猫", age=1)
    assert shown(words="cat red") == pks(*cat)
    assert shown(words="cat blue") == []
    assert shown(words="红色") == pks(*chinese)
    assert shown(words="100%") == []


def test_filters_by_date_size_and_rating(generated, shown):
    day = 24 * 60
    now = generated("red", size=(8, 16), nsfw=True)
    old = generated("blue", size=(1000, 1000), nsfw=False, age=3 * day)
    unchecked = generated("green", age=5 * day)
    today = timezone.localdate()
    assert shown(since=today - timedelta(days=1)) == pks(*now)
    assert shown(since=today - timedelta(days=4), until=today - timedelta(days=2)) == pks(*old)
    assert shown(size="medium") == pks(*old)
    assert shown(size="portrait") == pks(*now)
    assert shown(size="square") == pks(*old, *unchecked)
    assert shown(rating="nsfw") == pks(*now)
    assert shown(rating="safe") == pks(*old)
    assert shown(rating="unchecked") == pks(*unchecked)


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"size": "huge"},
        {"source": "x"},
        {"words": "a\0b"},
        {"key": "\0"},
        {"lora": "x" * 300},
    ],
)
def test_wrong_filter_value_is_named_and_matches_nothing(generated, ops, query):
    generated("red")
    response = ops.get(GALLERY, query)
    assert response.context["page"].outputs == []
    assert "at-bad-text" in response.content.decode()


@pytest.mark.parametrize(
    "after", ["x", "20260101T000000.0_1_1", "_", "20260101T000000.0_" + "0" * 32 + "_-1"]
)
def test_wrong_position_is_a_bad_request(ops, after):
    assert ops.get(GALLERY, {"after": after}).status_code == 400


def test_favorites_are_those_of_the_user(generated, shown, ops, admin_user, django_user_model):
    red, blue = generated("red", "blue")
    Favorite.objects.create(user=admin_user, output=red)
    Favorite.objects.create(user=django_user_model.objects.create_user("someone"), output=blue)
    assert shown(favorites="on") == [red.pk]
    assert ops.get(GALLERY).context["favorites"] == {red.pk}


def test_tenant_sees_only_its_own_images_and_choices(generated, sign_in, shown, source, other_source, key):
    mine = generated("red")
    generated("blue", source=other_source, key=None)
    client = sign_in("tenant", source)
    assert shown(client) == pks(*mine)
    assert shown(client, source=other_source.pk) == []
    text = client.get(GALLERY).content.decode()
    assert "shop" in text
    assert "blog" not in text


def test_suggestions_of_a_tenant_are_the_models_that_it_may_use(
    sign_in, source, other_source, checkpoint, key
):
    checkpoint.allowed_sources.add(other_source)
    fields = {"kind": Kind.LORA, "family": "sd15", "path": "loras/open.safetensors", "sha256": "1" * 64}
    ModelFile.objects.create(name="open", **fields)
    suggestions = sign_in("tenant", source).get(GALLERY).context["suggestions"]
    assert suggestions == {"key": [key.key_id], "checkpoint": [], "lora": ["open"]}


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 200), ("operator", 200), ("finance", 403), ("admin", 200)]
)
def test_gallery_requires_permission_to_view_images(sign_in, role, status, db):
    client = sign_in(role)
    assert client.get(GALLERY).status_code == status
    assert (GALLERY in client.get("/admin/").content.decode()) == (status == 200)


def test_words_are_escaped(generated, ops):
    generated("red", prompt="<script>alert(1)</script>")
    text = ops.get(GALLERY, {"words": '"><script>'}).content.decode()
    assert not re.search(r"<script>alert|\"><script>", text)
