from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.signals import request_finished, request_started
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save
from django.utils.translation import gettext_lazy as _


class TableVersionsConfig(AppConfig):
    name = "table_versions"
    verbose_name = _("table versions")

    def ready(self) -> None:
        from table_versions import current, triggers

        post_migrate.connect(triggers.install_after_migrating, sender=self)
        request_started.connect(current.begin_request)
        request_finished.connect(current.end_request)
        for model in triggers.watched_models():
            post_save.connect(_forget, sender=model)
            post_delete.connect(_forget, sender=model)
            for relation in model._meta.local_many_to_many:
                m2m_changed.connect(_forget, sender=getattr(model, relation.name).through)


def _forget(**_signal: Any) -> None:
    from table_versions import current

    current.forget()
