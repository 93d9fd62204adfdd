"""HTTP API of the adapter: the runner's endpoints, inventory, credentials and the check of templates."""

from __future__ import annotations

import asyncio
import ssl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import ServerCredentials, Workflow, WorkflowProblems
from gpu_runner.protocol.workflows import server_check
from gpu_runner.protocol.workflows.imports.editor_format import NotConvertible, converted
from gpu_runner.protocol.workflows.imports.messages import Converted, EditorFile
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
            Route("/inventory/refresh", self.guarded(self.refresh), methods=["POST"]),
            Route("/credentials", self.guarded(self.credentials), methods=["PUT"]),
            Route("/workflows/check", self.guarded(self.check), methods=["POST"]),
            Route("/workflows/convert", self.guarded(self.convert), methods=["POST"]),
        ]

    async def inventory(self, request: Request) -> Response:
        """``GET /inventory``: models and nodes of the server."""
        response = self.backend.poller.inventory.as_inventory()
        return Response(response.model_dump_json(), media_type="application/json")

    async def refresh(self, request: Request) -> Response:
        """``POST /inventory/refresh``: have the inventory read again. Does not wait for it."""
        self.backend.poller.request()
        return JSONResponse({"status": "ok"})

    async def credentials(self, request: Request) -> Response:
        """``PUT /credentials``: how to authenticate at the server. Kept in memory only."""
        credentials = await read(request, ServerCredentials)
        try:
            await asyncio.to_thread(self.backend.use, credentials)
        except ssl.SSLError:
            raise HTTPException(422, "ca must be PEM certificates") from None
        return JSONResponse({"status": "ok"})

    async def check(self, request: Request) -> Response:
        """``POST /workflows/check``: problems of a template on this server."""
        workflow = await read(request, Workflow)
        problems = tuple(server_check.problems(workflow, self.backend.poller.inventory.nodes))[:MAX_PROBLEMS]
        response = WorkflowProblems(problems=problems)
        return Response(response.model_dump_json(), media_type="application/json")

    async def convert(self, request: Request) -> Response:
        """``POST /workflows/convert``: a file of ComfyUI's editor as a graph in API format."""
        file = await read(request, EditorFile)
        try:
            response = Converted(graph=converted(file.workflow, self.backend.poller.inventory.nodes))
        except NotConvertible as error:
            response = Converted(problem=str(error))
        return Response(response.model_dump_json(), media_type="application/json")
