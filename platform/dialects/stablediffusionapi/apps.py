from django.apps import AppConfig


class StableDiffusionApiConfig(AppConfig):
    name = "dialects.stablediffusionapi"
    label = "stablediffusionapi"
    verbose_name = "stablediffusionapi.com"

    def ready(self) -> None:
        from jobs.admission import rerun
        from jobs.api_reference import dialects
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .reference import DESCRIPTION
        from .response.numeric_ids import new_number

        register(DIALECT, POLICY)
        dialects.register(DIALECT, DESCRIPTION)
        rerun.register_ids(DIALECT, new_number)
