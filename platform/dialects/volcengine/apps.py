from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"

    def ready(self) -> None:
        from jobs import as_curl

        from .authentication import DIALECT
        from .curl import curl

        as_curl.register(DIALECT, curl)
