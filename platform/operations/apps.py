from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = _("operations")

    def ready(self) -> None:
        from django_q.signals import post_spawn

        from .schedules import create_schedules
        from .tasks import on_worker_start

        # This app has no models, and Django sends post_migrate only for apps that have some.
        sender = apps.get_app_config("jobs")
        post_migrate.connect(create_schedules, sender=sender, dispatch_uid="operations.schedules")
        post_spawn.connect(on_worker_start, dispatch_uid="operations.on_worker_start")
