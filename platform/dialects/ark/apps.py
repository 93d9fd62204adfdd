from django.apps import AppConfig


class ArkConfig(AppConfig):
    name = "dialects.ark"
    label = "ark"
    verbose_name = "Volcengine Ark"

    def ready(self) -> None:
        from jobs.api_reference import dialects

        from .authentication import DIALECT
        from .reference import DESCRIPTION

        dialects.register(DIALECT, DESCRIPTION)
