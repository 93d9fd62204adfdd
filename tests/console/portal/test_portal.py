"""Pages of a tenant: navigation, overview, keys, usage, models and API pages."""

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from access.keys.authentication import Denied, authenticate
from access.models import AccessKey, CallbackSecret
from console.navigation import navigation
from jobs.admission.admit import admit
from jobs.models import Job, Output
from jobs.models.callback import Callback, CallbackState
from jobs.models.model_sample import ModelSample
from models_registry.models import Kind, ModelFile
from tests.support.fake_runner import png

ADDRESS = "10.1.2.3"
PORTAL = ("", "overview/", "usage/", "models/", "keys/", "keys/callback-secret/", "apis/", "apis/native/")


@pytest.fixture
def tenant(sign_in, source):
    return sign_in("tenant", source)


def text_of(response) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def output_of(job: Job) -> Output:
    output = Output(job=job, index=0, sha256="0" * 64, size_bytes=1, width=64, height=64, seed=7, infotext="")
    output.file.save(f"outputs/{job.pk}.png", ContentFile(png()))
    return output


def titles(client, rf) -> list[str]:
    request = rf.get("/admin/")
    request.user = client.get("/admin/").context["user"]
    groups = navigation(request)
    return [str(item["title"]) for group in groups for item in group["items"] if item["permission"](request)]


def test_tenant_has_a_short_navigation(tenant, rf):
    expected = ["Overview", "Gallery", "Jobs", "Playground", "Trainings", "Keys", "Usage", "Models", "API"]
    assert titles(tenant, rf) == expected


def test_operators_keep_the_whole_navigation_and_the_dashboard(ops):
    page = text_of(ops.get("/admin/"))
    assert "Ended jobs by hour" in page
    assert "Audit trail" in page


def test_overview_shows_use_images_failing_callbacks_and_expiring_keys(tenant, source, key, submission):
    source.images_per_day = 10
    source.save()
    job = admit(submission(num_images=3, prompt="three red circles"))
    output_of(job)
    AccessKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() + timedelta(days=3))
    distant, _secret = AccessKey.issue(source, expires_at=timezone.now() + timedelta(days=300))
    Callback.objects.create(
        job=job, dialect="native", url="https://a.example/done", state=CallbackState.DEAD, last_status=500
    )
    page = text_of(tenant.get("/admin/"))
    assert re.search(r"Images today</span>\s*<strong>3</strong>", page)
    assert "of 10 (30%)" in page
    assert 'alt="three red circles"' in page
    assert key.key_id in page
    assert distant.key_id not in page
    assert "https://a.example/done" in page


@pytest.mark.parametrize("path", PORTAL)
def test_source_of_another_tenant_is_not_found(tenant, other_source, path):
    assert tenant.get(f"/admin/{path}?source={other_source.name}").status_code == 404
    assert tenant.post(f"/admin/{path}?source={other_source.name}").status_code in (403, 404)
    assert not CallbackSecret.objects.exists()


@pytest.mark.parametrize("path", PORTAL)
def test_user_without_membership_is_told_what_to_do(sign_in, source, path):
    response = sign_in("tenant").get(f"/admin/{path}")
    assert response.status_code in (200, 404)
    assert source.name not in response.content.decode()


def test_tenant_chooses_among_its_sources(sign_in, source, other_source):
    client = sign_in("tenant", source, other_source)
    assert client.get("/admin/usage/").context["source"] == other_source  # "blog" comes first
    assert client.get("/admin/usage/?source=shop").context["source"] == source


# Keys ---------------------------------------------------------------------------------------------------------------


def test_tenant_makes_rotates_and_revokes_a_key(tenant, source):
    assert f"/admin/access/businesssource/{source.pk}/new-key/" in text_of(tenant.get("/admin/keys/"))
    shown = text_of(tenant.post(f"/admin/access/businesssource/{source.pk}/new-key/", {"note": "web site"}))
    key = AccessKey.objects.get(note="web site")
    secret = re.search(r'id="key-secret"[^>]*>([^<]+)<', shown)[1]
    assert authenticate(key.key_id, secret, dialect="native", address=ADDRESS) == key
    shown = text_of(tenant.post(f"/admin/access/accesskey/{key.pk}/new-secret/"))
    newer = re.search(r'id="key-secret"[^>]*>([^<]+)<', shown)[1]
    with pytest.raises(Denied):
        authenticate(key.key_id, secret, dialect="native", address=ADDRESS)
    assert authenticate(key.key_id, newer, dialect="native", address=ADDRESS) == key
    tenant.post(f"/admin/access/accesskey/{key.pk}/revoke/")
    with pytest.raises(Denied):
        authenticate(key.key_id, newer, dialect="native", address=ADDRESS)
    page = text_of(tenant.get("/admin/keys/"))
    assert "revoked" in page
    assert secret not in page
    assert newer not in page


def test_keys_show_their_use_and_their_limits(tenant, key, submission):
    AccessKey.objects.filter(pk=key.pk).update(images_per_month=50, max_steps=30, dialects=["native"])
    admit(submission(num_images=2))
    page = text_of(tenant.get("/admin/keys/"))
    assert re.search(r"Images this month</dt><dd>2 / 50</dd>", page)
    assert re.search(r"Max steps</dt><dd>30</dd>", page)
    assert "<dd>native</dd>" in page


def test_callback_secret_is_shown_once_and_replaced(tenant, source):
    tenant.get("/admin/keys/callback-secret/")
    assert not CallbackSecret.objects.exists()
    shown = text_of(tenant.post("/admin/keys/callback-secret/"))
    first = CallbackSecret.objects.get(source=source).secret
    assert f'id="callback-secret" class="at-break">{first}<' in shown
    assert first not in text_of(tenant.get("/admin/keys/"))
    tenant.post("/admin/keys/callback-secret/")
    assert CallbackSecret.objects.get(source=source).secret != first


def test_viewer_of_a_tenant_issues_nothing(sign_in, source):
    client = sign_in("viewer", source)
    assert client.post("/admin/keys/callback-secret/").status_code == 403
    assert client.post(f"/admin/access/businesssource/{source.pk}/new-key/", {"note": "x"}).status_code == 403
    assert not AccessKey.objects.exists()


# Usage and models ----------------------------------------------------------------------------------------------------


def test_usage_shows_the_month_and_its_downloads(tenant, source, submission):
    admit(submission(num_images=4))
    page = tenant.get("/admin/usage/")
    assert page.context["quotas"][2].used == Decimal(4)
    month = timezone.localdate().strftime("%Y-%m")
    link = f"/admin/access/businesssource/{source.pk}/statement/?month={month}&format=csv"
    assert link in text_of(page)
    assert tenant.get(link)["Content-Type"].startswith("text/csv")
    assert tenant.get("/admin/usage/?month=nonsense").status_code == 404


def test_models_are_those_of_the_source_with_the_names_of_its_dialects(
    tenant, source, other_source, checkpoint
):
    source.dialects = ["native", "a1111"]
    source.save()
    fields = {"family": "sd15", "sha256": "d" * 64, "trigger_words": "at night"}
    ModelFile.objects.create(kind=Kind.LORA, name="night", path="loras/night.safetensors", **fields)
    foreign = ModelFile.objects.create(
        kind=Kind.LORA, name="foreign-lora", path="loras/foreign.safetensors", family="sd15", sha256="e" * 64
    )
    foreign.allowed_sources.add(other_source)
    page = text_of(tenant.get("/admin/models/"))
    assert '"override_settings": {"sd_model_checkpoint": "shapes"}' in page
    assert "<lora:night:1>" in page
    assert "at night" in page
    assert "foreign-lora" not in page
    assert "model_id" not in page
    assert tenant.get(f"/admin/models/{foreign.pk}/sample/").status_code == 404


def test_sample_of_another_tenant_is_not_shown(tenant, checkpoint, submission, other_source):
    job = admit(submission(source=other_source, key=None))
    output_of(job)
    ModelSample.objects.create(file=checkpoint, job=job)
    assert tenant.get(f"/admin/models/{checkpoint.pk}/sample/").status_code == 404
    Job.objects.filter(pk=job.pk).update(source=AccessKey.objects.get().source)
    assert tenant.get(f"/admin/models/{checkpoint.pk}/sample/")["Content-Type"] == "image/webp"


# API pages ----------------------------------------------------------------------------------------------------------


def test_api_page_has_the_key_this_address_and_the_limits_of_both(tenant, source, key, settings):
    settings.PUBLIC_URL = "https://images.example/atelier"
    AccessKey.objects.filter(pk=key.pk).update(max_steps=20)
    page = text_of(tenant.get("/admin/apis/native/"))
    assert f"KEY_ID={key.key_id}" in page
    assert "BASE=https://images.example/atelier" in page
    assert 'href="https://images.example/atelier/api/v1/docs"' in page
    assert re.search(r"Max steps</td><td[^>]*>150</td><td[^>]*>20</td>", page)
    assert key.secret not in page


def test_api_pages_are_those_that_source_and_key_may_use(tenant, source, key):
    source.dialects = ["native", "openai", "ark"]
    source.save()
    AccessKey.objects.filter(pk=key.pk).update(dialects=["openai", "a1111"])
    assert [name for name, _url in tenant.get("/admin/apis/").context["tabs"]] == ["openai"]
    assert tenant.get("/admin/apis/openai/").status_code == 200
    assert tenant.get("/admin/apis/native/").status_code == 404
    assert tenant.get("/admin/apis/nonsense/").status_code == 404


def test_key_of_another_source_is_not_found(tenant, other_source):
    foreign, _secret = AccessKey.issue(other_source)
    assert tenant.get(f"/admin/apis/native/?key={foreign.key_id}").status_code == 404
