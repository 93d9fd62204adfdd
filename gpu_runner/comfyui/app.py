"""HTTP API of the adapter: the runner's endpoints, ``GET /inventory`` and ``POST /workflows/check``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Workflow, WorkflowProblems
from gpu_runner.protocol.workflows import server_check
from gpu_runner.server.app import RunnerApp, read

MAX_PROBLEMS = 50


class ComfyRunnerApp(RunnerApp):
    """Endpoints of a ComfyUI runner."""

    def __init__(self, backend: ComfyBackend, token: str, slots: int) -> None:
        super().__init__(backend, token, slots)
        self.backend = backend

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("/inventory", self.guarded(self.inventory)),
            Route("/workflows/check", self.guarded(self.check), methods=["POST"]),
        ]

    async def inventory(self, request: Request) -> Response:
        """``GET /inventory``: models and nodes of the server."""
        response = self.backend.poller.inventory.as_inventory()
        return Response(response.model_dump_json(), media_type="application/json")

    async def check(self, request: Request) -> Response:
        """``POST /workflows/check``: problems of a template on this server."""
        workflow = await read(request, Workflow)
        problems = tuple(server_check.problems(workflow, self.backend.poller.inventory.nodes))[:MAX_PROBLEMS]
        response = WorkflowProblems(problems=problems)
        return Response(response.model_dump_json(), media_type="application/json")
