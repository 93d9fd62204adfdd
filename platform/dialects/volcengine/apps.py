from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"

    def ready(self) -> None:
        from jobs import style_trials

        from .trials import read_trial

        style_trials.register(read_trial)
