import pytest
from django.test import RequestFactory

from jobs.admission import idempotency
from jobs.admission.admit import admit
from jobs.admission.idempotency import Idempotency
from jobs.errors import BadIdempotencyKey, IdempotencyConflict, QueueFull
from jobs.models import Job
from jobs.models.idempotency_key import IdempotencyKey

KEY = Idempotency("key-1", "a" * 64)
OTHER_BODY = Idempotency("key-1", "b" * 64)


def idempotency_of(path="/txt2img", body=b"{}", key="key-1"):
    headers = {} if key is None else {"Idempotency-Key": key}
    request = RequestFactory().post(path, body, content_type="application/json", headers=headers)
    return idempotency.read(request)


def test_repeated_key_returns_the_same_job(submission):
    first, again = (admit(submission(idempotency=KEY)) for _time in range(2))
    assert (first, Job.objects.count()) == (again, 1)


def test_same_key_with_another_request_is_a_conflict(submission):
    admit(submission(idempotency=KEY))
    with pytest.raises(IdempotencyConflict, match="another request"):
        admit(submission(idempotency=OTHER_BODY))
    assert Job.objects.count() == 1


def test_keys_are_separate_per_source_and_dialect(submission, other_source):
    admit(submission(idempotency=KEY))
    admit(submission(idempotency=OTHER_BODY, dialect="zhiqite"))
    admit(submission(idempotency=OTHER_BODY, source=other_source))
    assert Job.objects.count() == 3


def test_requests_without_a_key_create_separate_jobs(submission):
    assert admit(submission()) != admit(submission())


def test_refused_request_does_not_use_up_its_key(submission, source):
    source.max_queued_jobs = 0
    source.save()
    with pytest.raises(QueueFull):
        admit(submission(idempotency=KEY))
    source.max_queued_jobs = 1
    source.save()
    admit(submission(idempotency=OTHER_BODY))
    assert Job.objects.count() == 1


def test_concurrent_requests_with_one_key_create_one_job(submission, together, checkpoint):
    request = submission(idempotency=KEY)
    jobs = together(*[lambda: admit(request)] * 4)
    assert len({job.pk for job in jobs}) == Job.objects.count() == IdempotencyKey.objects.count() == 1


def test_deleting_the_job_deletes_its_key(submission):
    job = admit(submission(idempotency=KEY))
    job.delete()
    assert admit(submission(idempotency=OTHER_BODY)) != job


def test_fingerprint_covers_path_query_and_body():
    same, again = idempotency_of(), idempotency_of()
    others = [
        idempotency_of(body=b"{ }"),
        idempotency_of(path="/img2img"),
        idempotency_of(path="/txt2img?a=1"),
    ]
    assert same == again
    assert same.fingerprint not in [other.fingerprint for other in others]


def test_request_without_the_header_has_no_key():
    assert idempotency_of(key=None) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 201, "schlüssel", "a\x7f"])
def test_invalid_keys_are_refused(key):
    with pytest.raises(BadIdempotencyKey):
        idempotency_of(key=key)
