"""``manage.py up``: prepares the demo, starts all processes and generates a first image. `make run` calls it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from quickstart import demo_data, first_image
from quickstart.supervisor import Program, Supervisor, write_configuration

TRAINER = "trainer"  # name of its runner


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def comfyui_programs(urls: list[str]) -> list[Program]:
    """An adapter and a generation cluster for each ComfyUI server, which are registered as runners."""
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    programs = []
    for number, url in enumerate(urls, start=1):
        name, port = f"comfyui-{number}", free_port()
        call_command("register_runner", name, f"http://127.0.0.1:{port}", verbosity=0)
        adapter = [sys.executable, "-m", "gpu_runner.comfyui", "--port", str(port)]
        cluster = {"Q_CLUSTER_NAME": "generation", "RUNNER_NAME": name, "GENERATION_WORKERS": "2"}
        # Not as an argument, which any user of the machine can read: the URL may contain a password.
        own = {"COMFYUI_URL": url}
        programs += [
            Program(name, adapter, own),
            Program(f"generation-{name}", [*manage, "qcluster"], cluster),
        ]
    return programs


def trainer_programs() -> list[Program]:
    """A trainer and its generation cluster. The trainer imports torch only in the process of a training."""
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    port = free_port()
    call_command("register_runner", TRAINER, f"http://127.0.0.1:{port}", backend="training", verbosity=0)
    trainer = [sys.executable, "-m", "gpu_runner", "train", "--host", "127.0.0.1", "--port", str(port)]
    trainer += [
        "--models-root",
        str(settings.MODELS_ROOT),
        "--work-dir",
        str(settings.DATA_DIR / "trainings"),
    ]
    cluster = {"Q_CLUSTER_NAME": "generation", "RUNNER_NAME": TRAINER, "GENERATION_WORKERS": "1"}
    return [
        Program(TRAINER, trainer, {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}),
        Program(f"generation-{TRAINER}", [*manage, "qcluster"], cluster),
    ]


def platform_programs(port: str, runner_port: int) -> list[Program]:
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    runner = [sys.executable, "-m", "gpu_runner", "--host", "127.0.0.1", "--port", str(runner_port)]
    # GNU OpenMP's threads spin between the operations of a step, and other busy processes then hold up every step.
    threads = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}
    return [
        Program("runner", [*runner, "--models-root", str(settings.MODELS_ROOT)], threads),
        Program("web", [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]),
        Program("generation", [*manage, "qcluster"], {"Q_CLUSTER_NAME": "generation"}),
        Program("background", [*manage, "qcluster"]),
    ]


class Command(BaseCommand):
    help = "Migrate, load the demo, start all processes, generate a first image, and run until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IS_CHECKOUT:
            raise CommandError("`up` needs a checkout of the repository: the wheel has no demo models")
        port = os.environ.get("PORT", "8000")
        base_url = f"http://127.0.0.1:{port}"
        logs = settings.DATA_DIR / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.stdout.write("atelier: preparing the database and the demo models")
        call_command("prepare_demo", base_url)
        credentials = demo_data.credentials(base_url)
        runner_port = free_port()
        call_command("register_runner", settings.RUNNER_NAME, f"http://127.0.0.1:{runner_port}", verbosity=0)

        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stopping.set())
        comfyui = comfyui_programs([url for url in os.environ.get("COMFYUI_URL", "").split(",") if url])
        programs = [*platform_programs(port, runner_port), *trainer_programs(), *comfyui]
        config = write_configuration(programs, settings.DATA_DIR, logs, settings.BASE_DIR)
        self.stdout.write(f"atelier: starting the processes (logs in {logs})")
        supervisor = Supervisor(config)
        try:
            self.show_first_image(credentials, supervisor, stopping)
            while supervisor.is_running and not stopping.wait(0.5):
                pass
        except first_image.NotStarted as error:
            if not stopping.is_set():
                raise CommandError(f"the platform did not start: {error}; see the logs in {logs}") from None
        finally:
            supervisor.stop()
        self.stdout.write("atelier: stopped")

    def show_first_image(
        self, credentials: dict[str, str], supervisor: Supervisor, stopping: threading.Event
    ) -> None:
        base_url = credentials["base_url"]

        def still_running() -> bool:
            return supervisor.is_running and not stopping.is_set()

        first_image.wait_until_healthy(base_url, still_running)
        login = credentials["key_id"], credentials["secret"]
        image = self.first_image(base_url, login, still_running)
        user = shlex.quote(":".join(login))
        self.stdout.write(
            f"""
image    {image}
console  {base_url}/admin/  (user {credentials["admin_user"]}, password {credentials["admin_password"]})
try      curl -s -u {user} {base_url}/sdapi/v1/txt2img -H 'Content-Type: application/json' \\
           -d '{{"prompt": "a yellow star on a purple background", "steps": 20}}' \\
           | python3 -c 'import base64,json,sys; open("star.png","wb").write(base64.b64decode(json.load(sys.stdin)["images"][0]))'

READY {base_url}"""
        )
        self.stdout.flush()

    def first_image(self, base_url: str, login: tuple[str, str], still_running: Callable[[], bool]) -> str:
        """Path of the first image, or why there is none: the platform serves requests without it, too."""
        path = settings.DATA_DIR / "first-picture.png"
        try:
            with httpx.Client(base_url=base_url, auth=login, timeout=60) as client:
                return str(first_image.generate(client, path, still_running))
        except (first_image.NoFirstImage, httpx.HTTPError) as error:
            return f"none: {error}; the platform runs; see the logs in {settings.DATA_DIR / 'logs'}"
