from django.apps import AppConfig


class ZhiqiteConfig(AppConfig):
    name = "dialects.zhiqite"
    label = "zhiqite"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.outbound.callbacks.policies import register

        from .authentication import DIALECT
        from .callbacks import POLICY
        from .curl import EXAMPLE, curl

        register(DIALECT, POLICY)
        curl_export.register(DIALECT, curl, EXAMPLE)
