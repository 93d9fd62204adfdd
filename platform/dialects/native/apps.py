from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NativeConfig(AppConfig):
    name = "dialects.native"
    label = "native"
    verbose_name = _("native API")

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.api_reference import reference as api_reference
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl
        from .reference import MODELS, reference

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE, for_all_jobs=True)
        api_reference.register(DIALECT, reference, MODELS)
        from . import openapi  # noqa: F401  the extensions of drf-spectacular register themselves
