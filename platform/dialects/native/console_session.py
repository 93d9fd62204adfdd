"""Authentication of the console's pages: a signed-in user names a source in a header instead of sending a key.

The browser needs no secret besides its session. Pages of other sites cannot use the session: they cannot send the
header, and requests that change something need the CSRF token.
"""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason
from access.keys.console_keys import console_key
from access.models import AccessKey, BusinessSource
from access.tenancy import visible_sources
from jobs.errors import RateLimited

from .errors import Problem

SOURCE_HEADER = "X-Atelier-Source"
ADD_JOB = "jobs.add_job"


class ConsoleSession(SessionAuthentication):
    """Authenticates a request with the header X-Atelier-Source; ``request.auth`` is the user's key of that source.

    Raises Problem or RateLimited.
    """

    def authenticate(self, request: Request) -> tuple[None, AccessKey] | None:
        name = request.headers.get(SOURCE_HEADER)
        if name is None:
            return None
        user = request._request.user
        if not (user.is_authenticated and user.is_active and user.is_staff):
            raise Problem(401, "unauthorized", _("Sign in to the console first."))
        # REST framework's request parses the body as a form to look for the token in it; an image is no form.
        is_form = not (request.content_type or "").startswith(("image/", "application/octet-stream"))
        self.enforce_csrf(request if is_form else request._request)  # type: ignore[arg-type]
        source = _source(user, name)
        if source is None or not user.has_perm(ADD_JOB):
            raise _forbidden()
        try:
            return None, console_key(
                user, source, dialect="native", address=request.META.get("REMOTE_ADDR", "")
            )
        except Denied as denied:
            if denied.reason == Reason.RATE:
                raise RateLimited(denied.retry_after) from None
            raise _forbidden() from None


def _source(user: AbstractBaseUser, name: str) -> BusinessSource | None:
    sources = visible_sources(user)
    sources = BusinessSource.objects.all() if sources is None else sources
    return sources.filter(name=name).first() if "\0" not in name else None


def _forbidden() -> Problem:
    return Problem(403, "forbidden", _("You may not submit jobs for this source."))
