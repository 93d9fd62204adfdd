"""Requests per second, counted in the database, so that a limit holds over all web processes.

A token bucket as one number: the moment at which it will be full again. A request moves it on by one interval, if that
leaves it no more than a whole bucket ahead of now: one conditional UPDATE, whoever else asks at the same time.
"""

from __future__ import annotations

from math import ceil

from django.db.models import F, FloatField
from django.db.models.functions import Greatest

from access.accounts import RateBucket
from access.limits import Limits
from statements import Statement, UpdateStatement, given

TRIES = 3
ROUNDING_S = 1e-4  # seconds since 1970 are that coarse in a float, and a little more


def seconds_to_wait(owner: str, limits: Limits, now: float) -> int:
    """0: the request was counted. Otherwise it was not, and may come again after so many seconds."""
    if limits.requests_per_second is None:
        return 0
    interval = 1 / limits.requests_per_second
    ahead = (limits.most_at_once - 1) * interval + ROUNDING_S
    for _try in range(TRIES):
        if _TAKE.run(owner=owner, now=now, interval=interval, latest=now + ahead):
            return 0
        full_at = _FULL_AT.first(owner=owner)
        if full_at is not None and full_at > now + ahead:
            return max(1, ceil(full_at - ahead - now))
        RateBucket.objects.bulk_create([RateBucket(owner=owner, full_at=now)], ignore_conflicts=True)
    return 1


_TAKE = UpdateStatement(
    lambda: RateBucket.objects.filter(owner=given("owner"), full_at__lte=given("latest")),
    full_at=Greatest(F("full_at"), given("now"), output_field=FloatField()) + given("interval"),
)
_FULL_AT = Statement(
    lambda: RateBucket.objects.filter(owner=given("owner")).values_list("full_at", flat=True).order_by()
)
