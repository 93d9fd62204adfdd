"""``manage.py qcluster``: django-q2's command, with a cluster whose processes may be killed."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandError
from django_q.management.commands import qcluster


class Command(qcluster.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("cluster_name"):
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        from jobs.scheduling.cluster import Cluster  # reads the name

        cluster = Cluster()
        cluster.start()
        if options.get("run_once"):
            cluster.stop()
        if code := cluster.wait():
            raise CommandError(f"the sentinel of the cluster ended with exit code {code}")
