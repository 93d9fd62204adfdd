"""Lookup of storage targets."""

from __future__ import annotations

from django.core.files.storage import InvalidStorageError
from django.db.models import Q
from django.utils.translation import gettext as _

from access.models import BusinessSource
from jobs.errors import Refused
from jobs.models.storage_target import StorageTarget


class UnknownTarget(Refused):
    code = "unknown_target"


def find_target(source: BusinessSource, channel: str, visibility: str, *, by_host: bool) -> StorageTarget:
    """Find an enabled storage target that the source may use.

    ``by_host``: the target must have a public host. Raises UnknownTarget with the field ``channel`` or
    ``public_host``, also for targets of other sources, so that their existence is not revealed.
    """
    allowed = Q(allowed_sources=None) | Q(allowed_sources=source)
    named = StorageTarget.objects.filter(allowed, channel=channel, visibility=visibility, enabled=True)
    target = named.distinct().first()
    names = {"channel": channel, "type": visibility}
    if target is None:
        raise UnknownTarget(
            _("There is no storage target %(channel)s of type %(type)s.") % names, field="channel"
        )
    if by_host and not target.public_host:
        raise UnknownTarget(
            _("The storage target %(channel)s of type %(type)s has no public host.") % names,
            field="public_host",
        )
    _must_be_configured(target)
    return target


def _must_be_configured(target: StorageTarget) -> None:
    try:
        _storage = target.files
    except InvalidStorageError as error:
        message = _("The storage of the target %(channel)s is not configured.") % {"channel": target.channel}
        raise UnknownTarget(message, field="channel") from error
