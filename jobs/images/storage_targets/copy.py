"""Copies of a job's images at its storage target, and their URLs."""

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

OURS = "outputs/"  # prefix of output files in the default storage


class CopyFailed(Exception):
    pass


def copy(target: StorageTarget, output: Output) -> None:
    """Copy one image to the target. Raises CopyFailed.

    The name keeps its random part, so that URLs of other images cannot be guessed.
    """
    assert output.file.name is not None
    name = str(PurePosixPath(target.folder, output.file.name.removeprefix(OURS)))
    try:
        with output.file.open("rb") as file:
            output.target_name = target.files.save(name, File(file, name=name))
    except Exception as error:  # storage backends raise exceptions of their own libraries
        log.exception("output %s could not be copied to %s", output, target)
        raise CopyFailed(str(target)) from error


def delete_copies(target: StorageTarget, outputs: Iterable[Output]) -> None:
    """Delete the copies at the target. Errors are only logged: no client has received these URLs."""
    for output in outputs:
        if not output.target_name:
            continue
        try:
            target.files.delete(output.target_name)
        except Exception:
            log.exception("copy %s could not be deleted from %s", output.target_name, target)


def urls(job: Job, base: str, *, by_host: bool = False) -> list[str]:
    """URLs of the job's images, in order: at its storage target, or signed URLs if it has none.

    ``base``: a base_url(). ``by_host``: build them from the target's public host.
    """
    target = job.storage_target
    if target is None or (target.is_local and target.visibility == Visibility.PRIVATE and not by_host):
        return output_urls(job, base)
    return [_url(target, output, base, by_host) for output in job.image_outputs]


def _url(target: StorageTarget, output: Output, base: str, by_host: bool) -> str:
    if by_host:
        return f"{target.public_host.rstrip('/')}/{output.target_name}"
    if target.is_local:
        return base + reverse("target-picture", args=[output.target_name])
    return target.files.url(output.target_name)
