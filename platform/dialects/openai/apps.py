from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    name = "dialects.openai"
    label = "openai"
    verbose_name = "OpenAI Images"

    def ready(self) -> None:
        from jobs.api_reference import dialects

        from .authentication import DIALECT
        from .reference import DESCRIPTION

        dialects.register(DIALECT, DESCRIPTION)
