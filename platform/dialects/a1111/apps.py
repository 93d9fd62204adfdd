from django.apps import AppConfig


class A1111Config(AppConfig):
    name = "dialects.a1111"
    label = "a1111"

    def ready(self) -> None:
        from jobs import curl_export

        from .authentication import DIALECT
        from .curl import EXAMPLE, curl

        curl_export.register(DIALECT, curl, EXAMPLE)
