"""Commands beside a `make run`: they find its secrets where it keeps them, so that nobody has to copy them."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path

# Whoever sets one of these has an installation of his own: its data must not be read with the demo's secrets.
OF_AN_INSTALLATION = ("SECRET_KEY", "RUNNER_TOKEN", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL")


def adopt(environment: MutableMapping[str, str], root: Path) -> None:
    """Where nothing is set, and `make run` was here, what it set for its processes."""
    data_dir = Path(environment.get("DATA_DIR") or root / "var").absolute()
    secrets = data_dir / "secrets.json"
    if any(environment.get(name) for name in OF_AN_INSTALLATION) or not os.access(secrets, os.R_OK):
        return
    environment.update(json.loads(secrets.read_text()), DATA_DIR=str(data_dir), ATELIER_DEMO="1")
