"""Environment of `make run` for other commands: loads the secrets that it generated, which need not be copied."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path

# If one of these is set, this is not the demo, and its data must not be read with the demo's secrets.
INSTALLATION_VARIABLES = ("SECRET_KEY", "RUNNER_TOKEN", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL")


def load_demo_environment(environment: MutableMapping[str, str], root: Path) -> None:
    """Set the variables that `make run` sets for its processes, if it ran here and no installation is configured."""
    data_dir = Path(environment.get("DATA_DIR") or root / "var").absolute()
    secrets = data_dir / "secrets.json"
    if any(environment.get(name) for name in INSTALLATION_VARIABLES) or not os.access(secrets, os.R_OK):
        return
    environment.update(json.loads(secrets.read_text()), DATA_DIR=str(data_dir), ATELIER_DEMO="1")
