from django.apps import AppConfig


class StableDiffusionApiConfig(AppConfig):
    name = "dialects.stablediffusionapi"
    label = "stablediffusionapi"
    verbose_name = "stablediffusionapi.com"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.admission import rerun
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl
        from .numeric_ids import new_number

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE)
        rerun.register_ids(DIALECT, new_number)
