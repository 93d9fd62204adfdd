"""An image URL of this platform is read from storage, so that a result can be the input of the next request."""

import hashlib

import pytest

from access.models import BusinessSource
from jobs.images import storage
from jobs.images.signed_urls import input_url
from jobs.models import Job
from tests.dialects.test_idempotency import REQUESTS, caller  # noqa: F401  (a fixture)
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow

# Where URLs of other hosts can be switched off.
WITHOUT_URLS = ("a1111", "a1111_extras", "ark", "openai", "stablediffusionapi")
IMAGE = png(128, 128)
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.mark.parametrize("send", REQUESTS, ids=lambda send: send.__name__)
def test_own_url_is_read_where_no_host_may_be_reached(send, caller, settings):  # noqa: F811
    settings.INPUT_URLS = send.__name__ not in WITHOUT_URLS
    BusinessSource.objects.update(reachable=[])
    storage.store_input(IMAGE)
    response = send(*caller, input_url(SHA256, "http://testserver"))
    assert SHA256 in Job.objects.get().generation_request.input_hashes(), response.content


@pytest.mark.parametrize("send", REQUESTS, ids=lambda send: send.__name__)
def test_forged_own_url_is_refused(send, caller):  # noqa: F811
    storage.store_input(IMAGE)
    url = input_url(SHA256, "http://testserver")
    response = send(*caller, url.replace(SHA256, "0" * 64))
    assert "No image was found at this URL" in response.content.decode()
    assert not Job.objects.exists()
