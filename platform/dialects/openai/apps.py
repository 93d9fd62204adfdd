from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    name = "dialects.openai"
    label = "openai"
    verbose_name = "OpenAI Images"

    def ready(self) -> None:
        from jobs import curl_export

        from .authentication import DIALECT
        from .curl import EXAMPLE, curl

        curl_export.register(DIALECT, curl, EXAMPLE)
