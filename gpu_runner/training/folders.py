"""Folders with the states of trainings, one for each job. No torch."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

KEEP_S = 7 * 24 * 3600  # of folders that no attempt came back to
ATTEMPT = re.compile(r"-\d+$")


def folder_of(work_dir: Path, job_id: str) -> Path:
    """Folder of a job. All attempts share it: ``job_id`` is the platform's id with the number of the attempt."""
    return work_dir / re.sub(r"[^0-9A-Za-z_-]", "_", ATTEMPT.sub("", job_id))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_old(work_dir: Path) -> None:
    """Remove the folders of trainings that were given up."""
    for folder in work_dir.iterdir() if work_dir.exists() else ():
        if folder.is_dir() and folder.stat().st_mtime < time.time() - KEEP_S:
            remove(folder)
