from django.apps import AppConfig


class StableDiffusionApiConfig(AppConfig):
    name = "dialects.stablediffusionapi"
    label = "stablediffusionapi"
    verbose_name = "stablediffusionapi.com"

    def ready(self) -> None:
        from jobs import repeating
        from jobs.callbacks.registry import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .ids import new_number

        register(DIALECT, POLICY)
        repeating.register_ids(DIALECT, new_number)
