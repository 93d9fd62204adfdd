from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = _("jobs")

    def ready(self) -> None:
        from .django_q import create_schedules

        post_migrate.connect(create_schedules, sender=self, dispatch_uid="jobs.schedules")
