from django.apps import AppConfig


class ArkConfig(AppConfig):
    name = "dialects.ark"
    label = "ark"
    verbose_name = "Volcengine Ark"

    def ready(self) -> None:
        from jobs import curl_export

        from .authentication import DIALECT
        from .curl import EXAMPLE, curl

        curl_export.register(DIALECT, curl, EXAMPLE)
