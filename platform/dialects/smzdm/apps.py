from django.apps import AppConfig


class SmzdmConfig(AppConfig):
    name = "dialects.smzdm"
    label = "smzdm"

    def ready(self) -> None:
        from jobs.callbacks.registry import register

        from .authentication import DIALECT
        from .callbacks import POLICY

        register(DIALECT, POLICY)
