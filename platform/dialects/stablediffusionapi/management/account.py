"""What a source has: its budget and quotas, the dialects and limits of its key, and its jobs under way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone

from access import account_balances
from access.installed_dialects import installed
from access.models import AccessKey, BusinessSource
from jobs.billing.quotas import Allowance, every_allowance
from jobs.execution import slots
from jobs.models import State

LIMITS = ("max_width", "max_height", "max_steps", "max_images", "max_concurrent_jobs", "max_queued_jobs")


def processing_count(source: BusinessSource) -> int:
    """Number of the source's jobs that wait or run."""
    return slots.taken(source.pk, State.QUEUED) + slots.taken(source.pk, State.RUNNING)


def balance(key: AccessKey) -> dict[str, Any]:
    """What is left of every limit in cost units and images. ``balance``: of the tightest budget; null if there is none."""
    accounts = account_balances.read(key.source_id, key.pk)
    allowances = every_allowance(key.source, key, accounts, timezone.now())
    left = [allowance.left for allowance in allowances if not allowance.quota.counts_images]
    return {
        "balance": _number(min(left)) if left else None,
        "unit": "cost units",
        "unlimited": not left,
        "quotas": [_quota(allowance) for allowance in allowances],
    }


def _quota(allowance: Allowance) -> dict[str, Any]:
    renews_at = allowance.renews_at
    return {
        "of": "source" if isinstance(allowance.holder, BusinessSource) else "key",
        "name": allowance.quota.limit,
        "limit": _number(allowance.limit),
        "used": _number(allowance.used),
        "left": _number(allowance.left),
        "renews_at": renews_at.isoformat() if renews_at else None,
    }


def _number(value: Decimal) -> float:
    return float(round(value, 6))


def products(key: AccessKey) -> list[dict[str, Any]]:
    """The APIs that the key may use, as products. Nothing is sold here: an operator assigns them."""
    source = key.source
    ends = [holder.expires_at for holder in (source, key) if holder.expires_at]
    row = {
        "status": "active",
        "expires_at": min(ends).isoformat() if ends else None,
        "limits": {name: _smaller(getattr(source, name), getattr(key, name)) for name in LIMITS},
        "manages_models": key.manages_models,
    }
    allowed = [name for name in installed() if source.allows_dialect(name) and key.allows_dialect(name)]
    return [{"product": name, **row} for name in allowed]


def _smaller(of_source: int, of_key: int | None) -> int:
    return of_source if of_key is None else min(of_source, of_key)
