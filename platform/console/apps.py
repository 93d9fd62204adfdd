from django.apps import AppConfig
from django.contrib import admin
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("console")

    def ready(self) -> None:
        from .audit.middleware import connect_sign_in_signals
        from .runners.schedules import create_schedules
        from .tenants.roles import create_roles

        admin.site.index_title = _("Dashboard")
        admin.site.empty_value_display = "–"
        # This app is the last of INSTALLED_APPS, so the permissions of all other apps exist when the signal is sent.
        post_migrate.connect(create_roles, sender=self, dispatch_uid="console.tenants.roles")
        post_migrate.connect(create_schedules, sender=self, dispatch_uid="console.runners.schedules")
        connect_sign_in_signals()
