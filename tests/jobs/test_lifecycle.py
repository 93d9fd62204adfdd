import pytest

from jobs import lifecycle
from jobs.admission import admit


@pytest.mark.django_db
def test_x(submission):
    job = admit(submission())
    assert lifecycle.cancel(job.pk) == "cancelled"
