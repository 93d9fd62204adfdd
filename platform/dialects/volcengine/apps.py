from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"

    def ready(self) -> None:
        from jobs import curl_export
        from jobs.api_reference import reference as api_reference
        from jobs.sample_renders import style_presets

        from .authentication import DIALECT
        from .curl import EXAMPLE, curl
        from .reference import reference
        from .request.preset_preview import preview_submission

        curl_export.register(DIALECT, curl, EXAMPLE)
        api_reference.register(DIALECT, reference)
        style_presets.register(preview_submission)
