from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks, memory  # noqa: F401  importing checks registers the system checks

        memory.return_large_blocks()
