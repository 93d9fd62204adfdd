import base64
import re
import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client, RequestFactory
from django.utils import timezone

from jobs.images import signed_urls
from jobs.images.signed_urls import base_url, control_map_urls, output_urls, preview_url
from jobs.models import Job, Output, Preview
from tests.support.fake_runner import png

IMAGE = png(color="red")
HOST = "http://testserver"
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


def stored(job: Job, index: int = 0, content_type: str = "image/png", kind: str = "picture") -> Output:
    path = default_storage.save(f"outputs/{job.pk}-{index}", ContentFile(IMAGE))
    sizes = {"size_bytes": len(IMAGE), "width": 64, "height": 64}
    sha256 = f"{index:064}"
    return Output.objects.create(
        job=job, kind=kind, index=index, file=path, sha256=sha256, seed=1, content_type=content_type, **sizes
    )


@pytest.fixture
def url(job) -> str:
    stored(job)
    return output_urls(job, HOST)[0]


def travel(monkeypatch, **delta) -> None:
    moment = (timezone.now() + timedelta(**delta)).timestamp()
    monkeypatch.setattr(signed_urls.time, "time", lambda: moment)


# Valid URLs


@pytest.mark.parametrize("suffix", TYPES)
def test_url_serves_the_image_without_authentication(client, job, suffix):
    stored(job, content_type=TYPES[suffix])
    (url,) = output_urls(job, HOST)
    assert url.endswith(f"/0.{suffix}")
    response = client.get(url)
    assert response.getvalue() == IMAGE
    assert (response["Content-Type"], response["Content-Length"]) == (TYPES[suffix], str(len(IMAGE)))
    assert response["X-Content-Type-Options"] == "nosniff"


def test_control_maps_have_separate_urls(client, job):
    stored(job)
    stored(job, kind="control_map")
    (image_url,), (control_map,) = output_urls(job, HOST), control_map_urls(job, HOST)
    assert [client.get(url).status_code for url in (image_url, control_map)] == [200, 200]
    assert control_map.endswith("/map-0.png")
    assert (
        client.get(image_url.replace("/0.png", "/map-0.png")).status_code == 404
    )  # the token is for another URL


def test_url_needs_no_query_string_and_keeps_the_order(job):
    for index in (1, 0):
        stored(job, index)
    urls = output_urls(job, HOST)
    assert all(re.fullmatch(rf"{HOST}/outputs/[\w/.-]+\.png", url) for url in urls)
    assert [url[-5] for url in urls] == ["0", "1"]


def test_url_is_stable(job, url):
    assert output_urls(job, HOST) == [url]


def test_base64_form_is_text(client, job, url):
    (text_url,) = output_urls(job, HOST, form="base64")
    assert text_url.endswith(".base64")
    response = client.get(text_url)
    assert base64.b64decode(response.content) == IMAGE
    assert response["Content-Type"].startswith("text/plain")


def test_response_is_cacheable_until_the_url_expires(client, url):
    response = client.get(url)
    assert re.fullmatch(r"private, max-age=\d+, immutable", response["Cache-Control"])
    again = client.get(url, headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_and_method_not_allowed(client, url):
    response = client.head(url)
    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert client.post(url).status_code == 405


@pytest.mark.parametrize(
    "path", ["/inputs/token/name.png", "/targets/shop/0.png", "/outputs/{}/token/preview.jpg"]
)
def test_post_is_not_allowed_instead_of_a_csrf_error(job, url, path):
    strict = Client(enforce_csrf_checks=True)
    assert [strict.post(each).status_code for each in (url, path.format(job.pk))] == [405, 405]


# Invalid URLs


def test_forged_urls_are_not_found(client, job, url):
    stored(job, 1)
    prefix, token, last = url.rsplit("/", 2)
    forged = [
        f"{prefix}/{token}/1.png",
        f"{prefix}/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/{last}",
        f"{prefix}/f{token}/{last}",
        f"{prefix}/0-{token.partition('-')[2]}/{last}",
        f"{prefix}/{'f' * 9000}-x/{last}",
        f"{prefix}/-/{last}",
        f"{prefix}/é/{last}",
        f"{prefix}/{token}/{'9' * 40}.png",
        url.replace(str(job.pk), str(uuid.uuid4())),
        url.replace(".png", ".jpg"),
        url.replace("0.png", "preview.jpg"),
    ]
    assert {client.get(url).status_code for url in forged} == {404}


def test_url_expires(client, url, settings, monkeypatch):
    travel(monkeypatch, seconds=settings.PICTURE_URL_AGE_S)
    assert client.get(url).status_code == 200
    travel(monkeypatch, seconds=settings.PICTURE_URL_AGE_S, hours=1, minutes=1)
    assert client.get(url).status_code == 404


def test_url_of_a_deleted_output_is_not_found(client, job, url):
    Output.objects.all().delete()
    assert client.get(url).status_code == 404


def test_url_of_a_deleted_file_is_not_found(client, job, url):
    job.outputs.get().file.delete(save=False)
    assert client.get(url).status_code == 404


def test_changed_signing_key_invalidates_all_urls(client, url, settings):
    settings.PICTURE_URL_KEY = "another"
    assert client.get(url).status_code == 404


def test_public_urls_are_valid_while_the_source_allows_them(client, job, source, monkeypatch):
    source.public_pictures = True
    source.save()
    job = Job.objects.get(pk=job.pk)
    stored(job)
    (url,) = output_urls(job, HOST)
    travel(monkeypatch, days=4000)
    assert client.get(url)["Cache-Control"].startswith("public, ")
    source.public_pictures = False
    source.save()
    assert client.get(url).status_code == 404


# Base URL and storage


def test_base_url_is_the_setting_or_the_host_of_the_request(settings):
    request = RequestFactory().get("/", headers={"host": "localhost:8000"})
    assert base_url(request) == "http://localhost:8000"
    settings.PUBLIC_URL = "https://atelier.example.com/"
    assert base_url(request) == base_url() == "https://atelier.example.com"
    settings.PUBLIC_URL = ""
    with pytest.raises(ImproperlyConfigured):
        base_url()


@pytest.fixture
def bucket(settings) -> None:
    """A default storage that provides URLs."""
    backend = "django.core.files.storage.InMemoryStorage"
    default = {"BACKEND": backend, "OPTIONS": {"base_url": "https://bucket.example/"}}
    settings.STORAGES = settings.STORAGES | {"default": default}


def test_image_of_another_storage_is_streamed(client, bucket, url):
    assert client.get(url).getvalue() == IMAGE


def test_image_of_another_storage_is_redirected_if_configured(client, bucket, job, url, settings):
    settings.PICTURE_REDIRECTS = True
    response = client.get(url)
    assert (response.status_code, response["Cache-Control"]) == (302, "no-store")
    assert response["Location"] == f"https://bucket.example/outputs/{job.pk}-0"


# Previews


def test_newest_preview_is_served_and_not_cached(client, job):
    Preview.objects.create(job=job, jpeg=b"a jpeg")
    url = preview_url(job, HOST)
    response = client.get(url)
    assert (response.content, response["Content-Type"]) == (b"a jpeg", "image/jpeg")
    assert response["Cache-Control"] == "no-store"
    Preview.objects.all().delete()
    assert client.get(url).status_code == 404


def test_forged_preview_url_is_not_found(client, job, url):
    Preview.objects.create(job=job, jpeg=b"a jpeg")
    forged = preview_url(job, HOST).rsplit("/", 2)[0] + "/" + url.rsplit("/", 2)[1] + "/preview.jpg"
    assert client.get(forged).status_code == 404
