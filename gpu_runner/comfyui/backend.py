"""Backend for a ComfyUI server: its running jobs and its status."""

from __future__ import annotations

import hashlib
import logging

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.comfyui.inventory_poller import InventoryPoller
from gpu_runner.protocol import CancelMode, LoadedModel, RunRequest, ServerCredentials
from gpu_runner.server.backend import OnEvent
from gpu_runner.server.running_jobs import RunningJobs
from gpu_runner.server.status_report import Report

from .job import ComfyJob
from .progress_socket import ProgressSocket

log = logging.getLogger(__name__)


class ComfyBackend:
    """Runs jobs on one ComfyUI server.

    ``timeout_s`` is how long the server may not respond before a job is given up as lost.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = 60.0) -> None:
        self.url = url
        self.client = ComfyClient(url)
        self.poller = InventoryPoller(self.client)
        # Equal after a restart, so that prompts left behind by a killed adapter can be recognized.
        self.name = f"atelier-{hashlib.sha256(f'{token} {url}'.encode()).hexdigest()[:16]}"
        self._token = token
        self._credentials = ServerCredentials()
        self._timeout_s = timeout_s
        self._running: RunningJobs[ComfyJob] = RunningJobs()
        self._loaded: LoadedModel | None = None

    def start(self) -> None:
        """Remove leftover prompts, and start polling. The inventory may take minutes; until then, no job is accepted."""
        self.remove_leftover_prompts()
        self.poller.start()

    def use(self, known: ServerCredentials) -> None:
        """Authenticate at the server with these credentials. Raises ssl.SSLError if the CA is not PEM."""
        if known == self._credentials:
            return
        self.client.use(known)
        self._credentials = known
        self.remove_leftover_prompts()
        self.poller.request()

    def stop(self) -> None:
        """Discard all jobs and wait for their end."""
        self.poller.stop()
        self._running.stop(ComfyJob.discard)

    def remove_leftover_prompts(self) -> None:
        """Remove prompts of an earlier process of this adapter from the server."""
        try:
            for prompt_id, client_id in [*self.client.pending(), *self.client.running()]:
                if client_id.startswith(self.name):
                    log.warning("removing leftover prompt %s", prompt_id)
                    self.client.cancel(prompt_id)
        except (ServerTimeout, Rejected) as error:
            log.warning("could not remove leftover prompts: %s", error)

    @property
    def alive(self) -> bool:
        return True  # an unresponsive server is reported in the status

    def jobs(self) -> tuple[str, ...]:
        """Return the ids of the running jobs."""
        return self._running.ids()

    def submit(self, run_request: RunRequest, on_event: OnEvent) -> ComfyJob:
        """Start a job. A running job with the same id is discarded."""
        if (checkpoint := run_request.checkpoint) and checkpoint.sha256:
            self._loaded = LoadedModel(path=checkpoint.path, sha256=checkpoint.sha256, size_bytes=0)

        def create(handle: OnEvent) -> ComfyJob:
            return ComfyJob(
                self.client,
                lambda client_id: ProgressSocket(self.url, client_id, self._credentials),
                self.name,
                run_request,
                self.poller,
                handle,
                self._timeout_s,
            )

        return self._running.start(create, on_event)

    def cancel(self, job_id: str, mode: CancelMode) -> bool:
        """Cancel a job. Returns False if the job is unknown, and for ``pause``, which only trainings have."""
        return mode != "pause" and self._running.cancel(job_id, mode)

    def unload(self) -> bool:
        """Free the server's memory. Returns False while jobs are running."""
        if self.jobs():
            return False
        self.client.free()
        self._loaded = None
        return True

    def report(self) -> Report:
        """Return the state for ``GET /status``."""
        inventory = self.poller.inventory
        return Report(
            backend="comfyui",
            device=inventory.device,
            version=f"ComfyUI {inventory.version}" if inventory.version else "",
            loaded=(self._loaded,) if self._loaded else (),
            memory_bytes=max(0, self.poller.load.memory_total - self.poller.load.memory_free),
            steps_total=self._running.steps_total,
            problem=self.poller.problem,
            inventory=self.poller.digest,
            server=self.poller.load,
            credentials=self._credentials.digest(self._token),
        )
