from django.apps import AppConfig


class SmzdmConfig(AppConfig):
    name = "dialects.smzdm"
    label = "smzdm"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE)
