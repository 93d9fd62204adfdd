from django.apps import AppConfig


class StableDiffusionApiConfig(AppConfig):
    name = "dialects.stablediffusionapi"
    label = "stablediffusionapi"
    verbose_name = "stablediffusionapi.com"

    def ready(self) -> None:
        from jobs.callbacks.registry import register

        from .authentication import DIALECT
        from .callbacks import POLICY

        register(DIALECT, POLICY)
