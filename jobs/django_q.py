"""What django_q.tasks.async_task would put on a list."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone
from django_q.signing import SignedPackage


def package(task_id: uuid.UUID, func: str, *args: Any) -> str:
    return SignedPackage.dumps(
        {
            "id": task_id.hex,
            "name": str(task_id),
            "func": func,
            "args": args,
            "kwargs": {},
            "started": timezone.now(),
            "save": False,
            "ack_failure": True,
        }
    )
