"""Which target a source means."""

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
    """Another source's target is as unknown as one that nobody has. Raises UnknownTarget."""
    open_to_it = Q(allowed_sources=None) | Q(allowed_sources=source)
    named = StorageTarget.objects.filter(open_to_it, channel=channel, visibility=visibility, enabled=True)
    target = named.distinct().first()
    words = {"channel": channel, "type": visibility}
    if target is None:
        raise UnknownTarget(_("There is no storage target %(channel)s of type %(type)s.") % words)
    if by_host and not target.public_host:
        raise UnknownTarget(_("The storage target %(channel)s of type %(type)s has no public host.") % words)
    _must_be_configured(target)
    return target


def _must_be_configured(target: StorageTarget) -> None:
    try:
        _storage = target.files
    except InvalidStorageError as error:
        message = _("The storage of the target %(channel)s is not configured.") % {"channel": target.channel}
        raise UnknownTarget(message) from error
