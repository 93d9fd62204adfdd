"""Next steps of a fresh installation: what no image can be generated without, until the first one has been."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.dashboard.setup.checklist import checks
from console.dashboard.setup.views import may_view
from console.tenants.roles import SUBMIT_JOBS
from jobs.models import Job, State


@dataclass(frozen=True)
class Step:
    text: str | Promise
    url: str
    is_done: bool


def next_steps(request: HttpRequest) -> list[Step]:
    """The steps in order, done ones included; empty if all are done, and for users who cannot do them."""
    if not may_view(request):
        return []
    steps = [
        Step(check.name if check.is_done else check.remedy, check.page, check.is_done)
        for check in checks()
        if check.required
    ]
    has_images = Job.objects.filter(state=State.SUCCEEDED).exists()
    if request.user.has_perm(SUBMIT_JOBS):
        steps.append(
            Step(_("Generate an image in the playground."), reverse("console:playground"), has_images)
        )
    return [] if all(step.is_done for step in steps) else steps
