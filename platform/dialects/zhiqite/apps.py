from django.apps import AppConfig


class ZhiqiteConfig(AppConfig):
    name = "dialects.zhiqite"
    label = "zhiqite"

    def ready(self) -> None:
        from jobs.api_reference import dialects
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .reference import DESCRIPTION

        register(DIALECT, POLICY)
        dialects.register(DIALECT, DESCRIPTION)
