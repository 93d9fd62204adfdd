from django.apps import AppConfig
from django.contrib import admin
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("console")

    def ready(self) -> None:
        from .audit.middleware import watch_sign_ins
        from .roles import create_roles
        from .schedules import create_schedules

        admin.site.index_title = _("Console")
        # The last of the installed apps, so that every other's permissions are there.
        post_migrate.connect(create_roles, sender=self, dispatch_uid="console.roles")
        post_migrate.connect(create_schedules, sender=self, dispatch_uid="console.schedules")
        watch_sign_ins()
