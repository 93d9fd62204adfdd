from django.apps import AppConfig


class VolcengineConfig(AppConfig):
    name = "dialects.volcengine"
    label = "volcengine"
