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


def sent(path="/txt2img", body=b"{}", key="key-1"):
    headers = {} if key is None else {"Idempotency-Key": key}
    request = RequestFactory().post(path, body, content_type="application/json", headers=headers)
    return idempotency.read(request)


def test_same_key_is_the_same_job(submission):
    first, again = (admit(submission(idempotency=KEY)) for _time in range(2))
    assert (first, Job.objects.count()) == (again, 1)


def test_same_key_with_another_request_is_a_conflict(submission):
    admit(submission(idempotency=KEY))
    with pytest.raises(IdempotencyConflict, match="another request"):
        admit(submission(idempotency=OTHER_BODY))
    assert Job.objects.count() == 1


def test_key_is_its_sources_and_dialects_own(submission, other_source):
    admit(submission(idempotency=KEY))
    admit(submission(idempotency=OTHER_BODY, dialect="zhiqite"))
    admit(submission(idempotency=OTHER_BODY, source=other_source))
    assert Job.objects.count() == 3


def test_without_a_key_every_request_is_a_job(submission):
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


def test_many_requests_at_once_are_one_job(submission, together, checkpoint):
    wanted = submission(idempotency=KEY)
    jobs = together(*[lambda: admit(wanted)] * 4)
    assert len({job.pk for job in jobs}) == Job.objects.count() == IdempotencyKey.objects.count() == 1


def test_key_goes_with_its_job(submission):
    job = admit(submission(idempotency=KEY))
    job.delete()
    assert admit(submission(idempotency=OTHER_BODY)) != job


def test_path_and_body_make_the_fingerprint():
    same, again = sent(), sent()
    others = [sent(body=b"{ }"), sent(path="/img2img"), sent(path="/txt2img?a=1")]
    assert same == again
    assert same.fingerprint not in [other.fingerprint for other in others]


def test_without_the_header_there_is_none():
    assert sent(key=None) is None


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 201, "schlüssel", "a\x7f"])
def test_bad_keys_are_refused(key):
    with pytest.raises(BadIdempotencyKey):
        sent(key=key)
