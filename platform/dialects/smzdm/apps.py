from django.apps import AppConfig


class SmzdmConfig(AppConfig):
    name = "dialects.smzdm"
    label = "smzdm"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.api_reference import reference as api_reference
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl
        from .reference import MODELS, reference

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE)
        api_reference.register(DIALECT, reference, MODELS)
