"""Rate limit: a token bucket kept in the database, so that one limit holds across all web processes.

The bucket is stored as one number, the time at which it will be full again. A request moves that time forward by one
interval, unless the bucket would be empty then: one conditional UPDATE, which is atomic.
"""

from __future__ import annotations

from math import ceil

from django.db.models import F, FloatField, Value
from django.db.models.functions import Greatest

from access.accounts import RateBucket
from access.source_settings.limits import Limits

MAX_TRIES = 3
ROUNDING_S = 1e-4  # above the resolution of a float that holds seconds since 1970


def seconds_to_wait(owner: str, limits: Limits, now: float) -> int:
    """Count a request of ``owner`` at ``now`` (seconds since 1970).

    Returns 0 if the request was counted, otherwise the number of seconds after which it may be sent again.
    """
    if limits.requests_per_second is None:
        return 0
    interval = 1 / limits.requests_per_second
    ahead = (limits.most_at_once - 1) * interval + ROUNDING_S
    bucket = RateBucket.objects.filter(owner=owner)
    full_at = Greatest(F("full_at"), Value(now), output_field=FloatField()) + Value(interval)
    for _try in range(MAX_TRIES):
        if bucket.filter(full_at__lte=now + ahead).update(full_at=full_at):
            return 0
        known = bucket.values_list("full_at", flat=True).first()
        if known is not None and known > now + ahead:
            return max(1, ceil(known - ahead - now))
        RateBucket.objects.bulk_create([RateBucket(owner=owner, full_at=now)], ignore_conflicts=True)
    return 1
