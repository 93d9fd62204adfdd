from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"

    def ready(self) -> None:
        from jobs.api_reference import dialects
        from jobs.sample_renders import style_presets

        from .authentication import DIALECT
        from .reference import DESCRIPTION
        from .request.preset_preview import preview_submission

        dialects.register(DIALECT, DESCRIPTION)
        style_presets.register(preview_submission)
