"""A target in S3, through django-storages and boto3, against an S3 server on a socket."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from jobs.admission.admit import admit
from jobs.images.storage_targets import copy
from jobs.models.storage_target import StorageTarget
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job

pytestmark = pytest.mark.slow

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")

BUCKET = "pictures"


@pytest.fixture(scope="module")
def endpoint():
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def options(endpoint, **more):
    account = {"access_key": "anyone", "secret_key": "anything", "region_name": "us-east-1"}
    return {"bucket_name": BUCKET, "endpoint_url": endpoint, "addressing_style": "path", **account, **more}


@pytest.fixture
def buckets(endpoint, settings):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
    )
    client.create_bucket(Bucket=BUCKET)
    backend = "storages.backends.s3.S3Storage"
    public = {"querystring_auth": False, "default_acl": "public-read"}
    settings.STORAGES = settings.STORAGES | {
        "open": {"BACKEND": backend, "OPTIONS": options(endpoint, **public)},
        "signed": {"BACKEND": backend, "OPTIONS": options(endpoint)},
        "gone": {"BACKEND": backend, "OPTIONS": options(endpoint, bucket_name="nobodys")},
    }
    return client


@pytest.fixture
def drawn(buckets, submission, live_runner):
    def drawn(storage, **fields):
        target = StorageTarget(channel="1202", storage=storage, folder="shop", **fields)
        target.full_clean()
        target.save()
        job = admit(submission(storage_target=target))
        for lease in claim_next(live_runner.name, 4):
            run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return drawn


def test_a_picture_is_fetched_from_there_as_it_was_stored_here(drawn):
    job = drawn("open")
    (url,) = copy.urls(job, "")
    assert not urlsplit(url).query
    answer = httpx.get(url)
    assert answer.content == job.outputs.get().file.read()
    assert answer.headers["Content-Type"] == "image/png"


def test_a_private_pictures_url_is_signed_and_ends(drawn):
    job = drawn("signed", visibility="private")
    (url,) = copy.urls(job, "")
    assert any("expires" in name.lower() for name in parse_qs(urlsplit(url).query))
    assert httpx.get(url.partition("?")[0]).status_code == 403
    assert httpx.get(url).content == job.outputs.get().file.read()


def test_the_public_host_is_in_front_of_the_key(drawn, buckets):
    job = drawn("open", public_host="https://img.example.com/")
    (url,) = copy.urls(job, "", by_host=True)
    key = url.removeprefix("https://img.example.com/")
    assert buckets.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == job.outputs.get().size_bytes


def test_a_bucket_that_is_not_there_fails_the_job(drawn):
    job = drawn("gone")
    assert (job.state, job.error_code, job.outputs.count()) == ("failed", "copy_failed", 0)
