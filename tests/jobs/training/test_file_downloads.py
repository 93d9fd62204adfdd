"""Signed URLs of trained files: who gets the file, and until when."""

from types import SimpleNamespace

import pytest

from dialects.native.response.training import training_view
from jobs.images import signed_urls
from jobs.models import State
from jobs.training import selectors
from tests.jobs.training.test_results import LORA, trains

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
HOST = "http://testserver"


def test_signed_url_gives_the_file_until_it_expires_or_is_forbidden_or_the_lora_is_deleted(
    execute, source, client, monkeypatch, settings
):
    job = execute(trains)
    assert job.state == State.SUCCEEDED, job.error_message
    shown = training_view(selectors.training_get(source, job.pk), HOST).model
    url = shown.download_url
    assert url.startswith(f"{HOST}/trained/{job.pk}/")
    assert shown.download_note is None

    found = client.get(url)
    assert b"".join(found.streaming_content) == LORA
    assert found["Content-Disposition"] == 'attachment; filename="zorb.safetensors"'
    part = client.get(url, headers={"Range": "bytes=8-15"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, LORA[8:16])
    assert client.get(url, headers={"If-None-Match": found["ETag"]}).status_code == 304
    assert client.post(url).status_code == 405

    token = url.split("/")[-2]
    wrong = [
        url.replace(token, token[:-1] + ("A" if token[-1] != "A" else "B")),
        url.replace(token, "0-" + token.partition("-")[2]),
        url.replace("zorb.safetensors", "other.safetensors"),
        url.replace(str(job.pk), "00000000-0000-0000-0000-000000000000"),
        url.replace("/trained/", "/outputs/").replace("zorb.safetensors", "0.png"),
    ]
    assert [client.get(one).status_code for one in wrong] == [404] * len(wrong)

    with monkeypatch.context() as patch:
        late = signed_urls.time.time() + settings.PICTURE_URL_AGE_S + signed_urls.ROUNDED_TO_S
        patch.setattr(signed_urls, "time", SimpleNamespace(time=lambda: late))
        assert client.get(url).status_code == 404

    source.trained_file_downloads = False
    source.save()
    assert client.get(url).status_code == 404
    shown = training_view(selectors.training_get(source, job.pk), HOST).model
    assert (shown.name, shown.download_url) == ("zorb", None)
    assert shown.download_note == "Downloads of trained models are disabled for this source."

    source.trained_file_downloads = True
    source.save()
    assert client.get(url).status_code == 200
    selectors.delete_result(selectors.training_get(source, job.pk))
    assert client.get(url).status_code == 404
