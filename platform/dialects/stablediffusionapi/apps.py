from django.apps import AppConfig


class StableDiffusionApiConfig(AppConfig):
    name = "dialects.stablediffusionapi"
    label = "stablediffusionapi"
    verbose_name = "stablediffusionapi.com"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.admission import rerun
        from jobs.api_reference import reference as api_reference
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl
        from .numeric_ids import new_number
        from .reference import MODELS, reference

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE)
        api_reference.register(DIALECT, reference, MODELS)
        rerun.register_ids(DIALECT, new_number)
