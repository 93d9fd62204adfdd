"""External ids of dialects in which clients may reuse an id."""

from jobs.admission.admit import admit
from jobs.models import Job


def test_repeatable_external_id_creates_a_new_job_each_time(submission):
    first, second = (admit(submission(external_id="pro1686666", id_may_repeat=True)) for _ in range(2))
    assert first.pk != second.pk
    assert Job.objects.filter(external_id="pro1686666").count() == 2


def test_other_external_id_returns_the_first_job(submission):
    first, second = (admit(submission(external_id="mine")) for _ in range(2))
    assert first.pk == second.pk
