from django.apps import AppConfig


class A1111Config(AppConfig):
    name = "dialects.a1111"
    label = "a1111"

    def ready(self) -> None:
        from jobs.api_reference import dialects

        from .authentication import DIALECT
        from .reference import DESCRIPTION

        dialects.register(DIALECT, DESCRIPTION)
