from django.apps import AppConfig


class ZhiqiteConfig(AppConfig):
    name = "dialects.zhiqite"
    label = "zhiqite"

    def ready(self) -> None:
        from jobs.callbacks.registry import register

        from .authentication import DIALECT
        from .callbacks import POLICY

        register(DIALECT, POLICY)
