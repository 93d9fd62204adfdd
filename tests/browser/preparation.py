"""Rows and jobs with which the tasks begin, made without the console."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import StorageState, StorageStateCookie

from tests.e2e.installation import Installation, eventually

PROMPT = "a red circle on a blue background"
REQUEST = {"prompt": PROMPT, "width": 256, "height": 256, "steps": 8, "seed": 8}
Login = tuple[str, str]  # key id and secret


def signed_in(installation: Installation, user: str, password: str) -> StorageState:
    """Cookies of a user after the sign-in form."""
    with httpx.Client(base_url=installation.base_url, timeout=60) as client:
        client.get("/admin/login/")
        form = {"username": user, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/admin/login/", data=form).status_code == 302
        cookies = [
            StorageStateCookie(
                name=name,
                value=value,
                domain="127.0.0.1",
                path="/",
                expires=-1,
                httpOnly=False,
                secure=False,
                sameSite="Lax",
            )
            for name, value in client.cookies.items()
        ]
    return StorageState(cookies=cookies, origins=[])


def new_source(installation: Installation, name: str, **fields: object) -> Login:
    """Create a source and return the id and the secret of its key."""
    credentials = installation.python(f"""
import json
from access.models import AccessKey, BusinessSource
key, secret = AccessKey.issue(BusinessSource.objects.create(name={name!r}, **{fields!r}))
print(json.dumps([key.key_id, secret]))""")
    return credentials[0], credentials[1]


def new_tenant(installation: Installation, source: str, user: str, password: str) -> StorageState:
    """Create a user who sees only ``source``, and return its cookies."""
    installation.python(f"""
from django.contrib.auth.models import Group, User
from access.models import BusinessSource, Membership
user = User.objects.create_user({user!r}, password={password!r}, is_staff=True)
user.groups.add(Group.objects.get(name="tenant"))
Membership.objects.create(user=user, source=BusinessSource.objects.get(name={source!r}))
print("null")""")
    return signed_in(installation, user, password)


def generate(installation: Installation, login: Login | None = None, **fields: object) -> httpx.Response:
    """A synchronous request, of the demo source by default."""
    given: dict[str, Any] = {} if login is None else {"auth": login}
    return installation.client.post("/sdapi/v1/txt2img", json=REQUEST | fields, **given)


def queue(installation: Installation, login: Login | None = None, **fields: object) -> str:
    """Submit an asynchronous request and return the id of its job."""
    given: dict[str, Any] = {} if login is None else {"auth": login}
    response = installation.client.post("/api/v1/jobs", json={"prompt": PROMPT, **fields}, **given)
    assert response.status_code in (200, 201, 202), response.text
    return str(response.json()["id"])


def drawn(installation: Installation, login: Login | None = None, **fields: object) -> str:
    """As ``queue``, and wait until the job has succeeded."""
    job = queue(installation, login, **fields)
    given: dict[str, Any] = {} if login is None else {"auth": login}

    def has_ended() -> bool:
        state = installation.client.get(f"/api/v1/jobs/{job}", **given).json()["state"]
        assert state in ("queued", "running", "succeeded"), state
        return bool(state == "succeeded")

    eventually(has_ended, "the job succeeds")
    return job


def reproduction_of(installation: Installation, job: str) -> str:
    """The job that drew the first output of a job again, which has ended and was compared."""
    client = installation.client
    capsule = client.get(f"/api/v1/jobs/{job}/outputs/0/capsule").json()
    again = str(client.post("/api/v1/reproduce", json=capsule).json()["id"])
    eventually(
        lambda: client.get(f"/api/v1/reproductions/{again}").json()["comparison"] is not None,
        "the reproduction is compared",
    )
    return again


def fail_yesterday(installation: Installation, source: str, jobs: int) -> None:
    installation.python(f"""
from datetime import timedelta
from django.db import transaction
from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from jobs.execution import lifecycle
from jobs.models import Job, Runner
request = GenerationRequest(prompt={PROMPT!r}, width=64, height=64, num_inference_steps=2)
source = BusinessSource.objects.get(name={source!r})
for _ in range({jobs}):
    with transaction.atomic():
        key = source.keys.first()
        job = admit(Submission(source=source, key=key, dialect="native", operation="txt2img", request=request))
        lease = lifecycle.claim(job.pk, Runner.objects.get(name="local"))
        lifecycle.fail(lease, "out_of_memory", "The runner has too little memory for this.")
        job.refresh_from_db()
        ago = timedelta(days=1)
        times = {{name: getattr(job, name) - ago for name in ("created_at", "started_at", "finished_at")}}
        Job.objects.filter(pk=job.pk).update(**times)
print("null")""")


def give_up_callbacks(installation: Installation, job: str) -> None:
    """Mark the callback of a job as failed, as after the last attempt."""
    installation.python(f"""
from jobs.models.callback import Callback
Callback.objects.filter(job={job!r}).update(state="dead", next_at=None)
print("null")""")
