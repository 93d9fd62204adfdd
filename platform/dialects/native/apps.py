from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NativeConfig(AppConfig):
    name = "dialects.native"
    label = "native"
    verbose_name = _("native API")

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE, for_all_jobs=True)
        from . import openapi  # noqa: F401  the extensions of drf-spectacular register themselves
