"""What deploy/ and docs/operations.md name is there."""

import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
ENVIRONMENTS = [
    "deploy/compose/example.env",
    "deploy/systemd/atelier.env",
    "deploy/systemd/runner-gpu0.env",
]
OF_OTHERS = {
    "POSTGRES_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}


def variables(text: str) -> set[str]:
    return set(re.findall(r"^#?([A-Z0-9_]+)=", text, re.MULTILINE))


@pytest.fixture(scope="module")
def known() -> set[str]:
    runner = set(re.findall(r'env\("([A-Z_]+)"', (ROOT / "gpu_runner/__main__.py").read_text()))
    return variables((ROOT / ".env.example").read_text()) | runner | OF_OTHERS


@pytest.mark.parametrize("path", ENVIRONMENTS)
def test_every_variable_of_an_example_is_one_that_is_read(path, known):
    assert variables((ROOT / path).read_text()) <= known


def test_compose_asks_for_no_secret_that_its_example_lacks():
    asked = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (ROOT / "deploy/compose/compose.yaml").read_text()))
    assert asked <= variables((ROOT / "deploy/compose/example.env").read_text())


def test_no_example_has_a_secret_in_it():
    for path in ENVIRONMENTS:
        text = (ROOT / path).read_text()
        assert (
            re.findall(
                r"^(?:SECRET_KEY|RUNNER_TOKEN|FIELD_ENCRYPTION_KEYS|S3_SECRET_KEY)=.+", text, re.MULTILINE
            )
            == []
        )


def test_every_runner_of_compose_has_its_generation_cluster():
    services = COMPOSE["services"]
    runners = {name for name in services if name.startswith("runner-")}
    fed = {
        service["environment"].get("RUNNER_NAME") for service in services.values() if "environment" in service
    }
    assert len(runners) == 2
    assert runners == fed - {None}


def test_runners_of_compose_know_neither_database_nor_keys():
    for name in ("runner-1", "runner-2"):
        service = COMPOSE["services"][name]
        assert "env_file" not in service
        assert not {"DATABASE_URL", "SECRET_KEY"} & set(service["environment"])


@pytest.mark.parametrize("document", ["docs/operations.md"])
def test_every_command_of_the_manual_exists(document):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"manage\.py ([a-z_]+)", text))
    table = re.search(r"^## Commands\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    named |= set(re.findall(r"`([a-z_]+)[ `]", table[1]))
    assert named <= set(get_commands())
