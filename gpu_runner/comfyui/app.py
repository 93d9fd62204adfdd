"""The runner's endpoints, and two more: what the server has, and whether a workflow fits it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Workflow, WorkflowProblems
from gpu_runner.protocol.workflows import server_check
from gpu_runner.server.app import RunnerApp, read

MOST_PROBLEMS = 50


class ComfyDoor(RunnerApp):
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
        answer = self.backend.watch.stock.as_inventory()
        return Response(answer.model_dump_json(), media_type="application/json")

    async def check(self, request: Request) -> Response:
        workflow = await read(request, Workflow)
        problems = tuple(server_check.problems(workflow, self.backend.watch.stock.nodes))[:MOST_PROBLEMS]
        answer = WorkflowProblems(problems=problems)
        return Response(answer.model_dump_json(), media_type="application/json")
