"""Endpoints of the vendor that this platform refuses, each with the reason: money and operation."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

STORAGE = _("where images are stored is set by the operator of this server, not by its clients")
OPERATION = _("the operator of this server starts, stops and updates it; clients cannot")
ONE_REGISTRY = _("all runners share one registry of models, so there is nothing to synchronize")
MONEY = _("budgets are assigned by the operator of this server; nothing is sold")

# By path below /api/; paths with more parts, such as an id, are covered.
ENTERPRISE: dict[str, Promise] = {
    "v1/enterprise/update_s3": STORAGE,
    "v1/enterprise/reset_s3": STORAGE,
    "v1/enterprise/restart_server": OPERATION,
    "v1/enterprise/update_server": OPERATION,
    "v1/enterprise/sync_models": ONE_REGISTRY,
}
PUBLIC: dict[str, Promise] = {
    **{
        f"v3/{folder}{name}": MONEY
        for folder in ("", "dreambooth/")
        for name in ("buy_model", "buy_subscription", "cancel_subscription")
    },
}
