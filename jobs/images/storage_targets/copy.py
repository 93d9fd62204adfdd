"""Copying a job's pictures to its target, and where clients find them there."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import PurePosixPath

from django.core.files import File
from django.urls import reverse

from jobs.images.signed_urls import output_urls
from jobs.models import Job, Output
from jobs.models.storage_target import StorageTarget, Visibility

log = logging.getLogger(__name__)

OURS = "outputs/"  # where pictures lie in our own storage


class CopyFailed(Exception):
    pass


def copy(target: StorageTarget, output: Output) -> None:
    """The name keeps its random part: whoever knows one picture's URL cannot guess another's. Raises CopyFailed."""
    assert output.file.name is not None
    name = str(PurePosixPath(target.folder, output.file.name.removeprefix(OURS)))
    try:
        with output.file.open("rb") as file:
            output.target_name = target.files.save(name, File(file, name=name))
    except Exception as error:  # storages raise what their libraries raise
        log.exception("picture %s could not be copied to %s", output, target)
        raise CopyFailed(str(target)) from error


def delete_copies(target: StorageTarget, outputs: Iterable[Output]) -> None:
    """As far as the target lets us: nobody was told of them."""
    for output in outputs:
        if not output.target_name:
            continue
        try:
            target.files.delete(output.target_name)
        except Exception:
            log.exception("the copy %s stays at %s", output.target_name, target)


def urls(job: Job, base: str, *, by_host: bool = False) -> list[str]:
    """Of the job's pictures, in their order: at its target, or ours where it has none. ``base`` is a base_url()."""
    target = job.storage_target
    if target is None or (target.is_local and target.visibility == Visibility.PRIVATE and not by_host):
        return output_urls(job, base)
    return [_url(target, output, base, by_host) for output in job.pictures]


def _url(target: StorageTarget, output: Output, base: str, by_host: bool) -> str:
    if by_host:
        return f"{target.public_host.rstrip('/')}/{output.target_name}"
    if target.is_local:
        return base + reverse("target-picture", args=[output.target_name])
    return target.files.url(output.target_name)
