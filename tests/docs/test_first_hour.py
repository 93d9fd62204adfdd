"""The section "First hour on a server" of docs/operations.md, followed command by command.

PostgreSQL, nginx, the S3 server and all processes of the platform are real. Stand-ins replace what would change the
machine: packages, users, and systemd, whose units are started as they are written (``stand_ins``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.page import ROOT, code_blocks, section, text_of
from tests.docs.sandbox import Sandbox
from tests.support.judge import judge
from tests.support.postgres import NoPostgres, Server, server

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.demo]

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")

PAGE = text_of("docs/operations.md")
STEPS = [code for language, code in code_blocks(section(PAGE, "First hour on a server")) if language == "sh"]
NGINX, FIRST_IMAGE = len(STEPS) - 2, len(STEPS) - 1
CHECKPOINT = ROOT / "demo/models/checkpoints/atelier-shapes.safetensors"
PASSWORDS_REQUIRED = (
    "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"  # the test's server trusts everyone
)


@pytest.fixture(scope="module")
def bucket() -> Iterator[object]:
    s3 = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    account = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    resource = boto3.resource("s3", endpoint_url=f"http://{host}:{port}", **account)
    yield resource.create_bucket(Bucket="atelier")
    s3.stop()


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    """A server as Debian's package leaves it: the superuser postgres, and passwords for connections over TCP."""
    try:
        with server() as started:
            psql = [started.binaries / "psql", "--quiet", "-h", started.folder, "-p", str(started.port)]
            for user, statement in (
                ("atelier", "CREATE ROLE postgres SUPERUSER LOGIN"),
                ("postgres", "ALTER ROLE atelier RENAME TO installer"),
            ):
                subprocess.run([*psql, "-U", user, "-d", "postgres", "-c", statement], check=True)
            (Path(started.folder) / "data/pg_hba.conf").write_text(PASSWORDS_REQUIRED)
            subprocess.run(
                [*psql, "-U", "postgres", "-d", "postgres", "-c", "SELECT pg_reload_conf()"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            yield started
    except NoPostgres as reason:
        if os.environ.get("REQUIRE_POSTGRES"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, database: Server, bucket) -> Iterator[Sandbox]:
    """The server after all steps before nginx; /readyz, whose response is the end of the last one, has said yes."""
    endpoint = bucket.meta.client.meta.endpoint_url
    sandbox = Sandbox(
        tmp_path_factory.mktemp("server"),
        database,
        {"https://s3.example.com": endpoint, "/root/my.safetensors": str(CHECKPOINT)},
    )
    try:
        for step in STEPS[:NGINX]:
            sandbox.run(step)
        yield sandbox
    finally:
        sandbox.stop()


@pytest.fixture(scope="module")
def proxied(site: Sandbox) -> Sandbox:
    """The server behind nginx."""
    if shutil.which("nginx") is None and not os.environ.get("REQUIRE_NGINX"):
        pytest.skip("nginx is not installed")
    site.run(STEPS[NGINX])
    return site


def test_secrets_are_generated_and_readable_by_the_group_alone(site: Sandbox):
    path = site.path("/etc/atelier/atelier.env")
    assert path.stat().st_mode & 0o777 == 0o640
    lines = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    secrets = [lines[name] for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "RUNNER_TOKEN")]
    assert {len(secret) for secret in secrets} == {64}
    assert len(set(secrets)) == 3


def test_a_dump_is_restored_into_another_database(site: Sandbox):
    """The commands of "Back up and restore" for the database."""
    backup = section(PAGE + "\n## ", "Back up and restore")
    dump, restore = (code for _language, code in code_blocks(backup))
    site.run(next(line for line in dump.splitlines() if line.startswith("pg_dump")))
    lines = restore.splitlines()
    site.run("\n".join(line for line in lines if line.startswith(("runuser", "pg_restore"))))
    check = next(line for line in lines if line.startswith("python manage.py migrate --check"))
    commands = check.replace("python manage.py", ".venv/bin/python manage.py")
    printed = site.run(f'( export DATABASE_URL="${{DATABASE_URL%/*}}/restored"; {commands} )')
    assert "0 new" in printed or "unchanged" in printed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(site: Sandbox):
    installed = site.path("/etc/systemd/system")
    for template in installed.glob("*@.service"):
        (installed / template.name.replace("@", "@gpu0")).write_text(template.read_text())
    units = sorted(path for path in installed.glob("*") if "@." not in path.name)
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_first_image_is_drawn_through_nginx_and_stored_in_s3(proxied: Sandbox, bucket):
    printed = proxied.run(STEPS[FIRST_IMAGE])
    assert '"secret": "' in printed
    assert judge(Image.open(proxied.path("/root/first.png"))).shape == "circle"
    stored = [entry.key for entry in bucket.objects.all()]
    assert any(key.endswith(".png") for key in stored)
    media = proxied.path("/var/lib/atelier/media")
    assert not [path for path in media.rglob("*") if path.is_file()]
