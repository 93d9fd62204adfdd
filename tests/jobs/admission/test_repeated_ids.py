"""A dialect whose clients' ids are not theirs alone: the newest job is the one that is meant."""

from jobs.admission.admit import admit
from jobs.models import Job


def test_an_id_that_may_repeat_names_a_new_job_each_time(submission):
    first, second = (admit(submission(external_id="pro1686666", id_may_repeat=True)) for _ in range(2))
    assert first.pk != second.pk
    assert Job.objects.filter(external_id="pro1686666").count() == 2


def test_any_other_id_still_names_one_job(submission):
    first, second = (admit(submission(external_id="mine")) for _ in range(2))
    assert first.pk == second.pk
