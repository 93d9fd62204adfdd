"""Storage target in S3, through django-storages and boto3, against a local S3 server."""

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

BUCKET = "images"


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
        "gone": {"BACKEND": backend, "OPTIONS": options(endpoint, bucket_name="missing")},
    }
    return client


@pytest.fixture
def executed(buckets, submission, live_runner):
    def executed(storage, **fields):
        target = StorageTarget(channel="1202", storage=storage, folder="shop", **fields)
        target.full_clean()
        target.save()
        job = admit(submission(storage_target=target))
        for lease in claim_next(live_runner.name, 4):
            run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return executed


def test_public_image_has_a_plain_url_at_the_target(executed):
    job = executed("open")
    (url,) = copy.urls(job, "")
    assert not urlsplit(url).query
    response = httpx.get(url)
    assert response.content == job.outputs.get().file.read()
    assert response.headers["Content-Type"] == "image/png"


def test_url_of_a_private_image_is_signed_and_expires(executed):
    job = executed("signed", visibility="private")
    (url,) = copy.urls(job, "")
    assert any("expires" in name.lower() for name in parse_qs(urlsplit(url).query))
    assert httpx.get(url.partition("?")[0]).status_code == 403
    assert httpx.get(url).content == job.outputs.get().file.read()


def test_url_by_public_host_ends_with_the_object_key(executed, buckets):
    job = executed("open", public_host="https://img.example.com/")
    (url,) = copy.urls(job, "", by_host=True)
    key = url.removeprefix("https://img.example.com/")
    assert buckets.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == job.outputs.get().size_bytes


def test_missing_bucket_fails_the_job(executed):
    job = executed("gone")
    assert (job.state, job.error_code, job.outputs.count()) == ("failed", "copy_failed", 0)
