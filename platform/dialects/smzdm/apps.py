from django.apps import AppConfig


class SmzdmConfig(AppConfig):
    name = "dialects.smzdm"
    label = "smzdm"

    def ready(self) -> None:
        from jobs.api_reference import dialects
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .reference import DESCRIPTION

        register(DIALECT, POLICY)
        dialects.register(DIALECT, DESCRIPTION)
