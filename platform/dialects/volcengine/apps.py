from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"

    def ready(self) -> None:
        from jobs import as_curl, style_trials

        from .authentication import DIALECT
        from .curl import curl
        from .trials import read_trial

        as_curl.register(DIALECT, curl)
        style_trials.register(read_trial)
