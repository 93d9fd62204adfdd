from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    name = "dialects.openai"
    label = "openai"
    verbose_name = "OpenAI Images"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.api_reference import reference as api_reference

        from .authentication import DIALECT
        from .curl import EXAMPLE, curl
        from .reference import MODELS, reference

        curl_export.register(DIALECT, curl, EXAMPLE)
        api_reference.register(DIALECT, reference, MODELS)
