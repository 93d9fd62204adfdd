from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NativeConfig(AppConfig):
    name = "dialects.native"
    label = "native"
    verbose_name = _("native API")

    def ready(self) -> None:
        from jobs.api_reference import dialects
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .reference import DESCRIPTION

        register(DIALECT, POLICY)
        dialects.register(DIALECT, DESCRIPTION)
        from . import openapi  # noqa: F401  the extensions of drf-spectacular register themselves
