"""Variables and commands named in deploy/ and docs/operations.md exist."""

import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
ENVIRONMENTS = [
    "deploy/compose/example.env",
    "deploy/systemd/atelier.env",
    "deploy/systemd/runner-gpu0.env",
    "deploy/systemd/runner-trainer.env",
]
THIRD_PARTY = {
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
    commands = [ROOT / "gpu_runner" / folder / "command.py" for folder in ("engine", "training")]
    runner = set(re.findall(r'env\("([A-Z_]+)"', "".join(command.read_text() for command in commands)))
    return variables((ROOT / ".env.example").read_text()) | runner | THIRD_PARTY


@pytest.mark.parametrize("path", ENVIRONMENTS)
def test_variables_of_the_examples_are_read(path, known):
    assert variables((ROOT / path).read_text()) <= known


def test_secrets_required_by_compose_are_in_its_example():
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (ROOT / "deploy/compose/compose.yaml").read_text()))
    assert required <= variables((ROOT / "deploy/compose/example.env").read_text())


def test_examples_contain_no_secrets():
    for path in ENVIRONMENTS:
        text = (ROOT / path).read_text()
        assert (
            re.findall(
                r"^(?:SECRET_KEY|RUNNER_TOKEN|FIELD_ENCRYPTION_KEYS|S3_SECRET_KEY)=.+", text, re.MULTILINE
            )
            == []
        )


def test_each_runner_of_compose_has_a_generation_cluster():
    services = COMPOSE["services"]
    runners = {name for name in services if name.startswith(("runner-", "trainer"))}
    served = {
        service["environment"].get("RUNNER_NAME") for service in services.values() if "environment" in service
    }
    assert len(runners) == 3
    assert runners == served - {None}


def test_runners_of_compose_have_neither_database_nor_keys():
    for name in ("runner-1", "runner-2", "trainer"):
        service = COMPOSE["services"][name]
        assert "env_file" not in service
        assert not {"DATABASE_URL", "SECRET_KEY"} & set(service["environment"])


@pytest.mark.parametrize("document", ["docs/operations.md"])
def test_commands_of_the_manual_exist(document):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"manage\.py ([a-z_]+)", text))
    table = re.search(r"^## Commands\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    named |= set(re.findall(r"`([a-z_]+)[ `]", table[1]))
    assert named <= set(get_commands())


def test_nginx_lets_a_data_set_of_the_largest_size_pass():
    location = re.search(
        r"location ~ (\S*trainings\S*) \{\s*client_max_body_size (\d+)m",
        (ROOT / "deploy/nginx.conf").read_text(),
    )
    assert location is not None
    assert all(re.fullmatch(location[1], path) for path in ("/api/v1/trainings", "/api/v1/trainings/quote"))
    assert int(location[2]) << 20 > settings.TRAINING_UPLOAD_MAX_BYTES
