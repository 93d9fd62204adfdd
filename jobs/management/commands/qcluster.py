"""``manage.py qcluster``: django-q2's command, with a cluster whose processes may be killed."""

from __future__ import annotations

import os
import threading
from typing import Any

from django.core.management.base import CommandError
from django_q.management.commands import qcluster

from jobs.model_intake import worker as intake_worker


class Command(qcluster.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("cluster_name"):
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        # These read the name.
        from django_q.conf import Conf

        from jobs.scheduling.broker import GENERATION
        from jobs.scheduling.cluster import Cluster

        cluster = Cluster()
        cluster.start()
        if options.get("run_once"):
            cluster.stop()
        elif Conf.CLUSTER_NAME != GENERATION:
            intake_worker.start(threading.Event())  # after the fork of the sentinel
        if code := cluster.wait():
            raise CommandError(f"the sentinel of the cluster ended with exit code {code}")
