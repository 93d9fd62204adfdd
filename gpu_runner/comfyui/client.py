"""HTTP client of ComfyUI's API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from gpu_runner.comfyui import credentials
from gpu_runner.protocol import ServerCredentials

TIMEOUT_S = 20.0  # responses are late while the server loads a large model
OBJECT_INFO_TIMEOUT_S = 300.0  # large installations describe their nodes for a minute and longer
NO_MODEL_FOLDERS = frozenset({"custom_nodes", "configs", "embeddings"})
NO_ROUTE = (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED)
UPLOAD_FOLDER = "atelier"
MAX_OUTPUT_BYTES = 128 * 2**20


class ServerTimeout(Exception):
    """No valid response. The request may or may not have been executed."""


class OutputTooLarge(Exception):
    """A file is larger than MAX_OUTPUT_BYTES."""


class ServerUnreachable(ServerTimeout):
    """The connection failed. The request was not executed."""


class Rejected(Exception):
    """A response with status 400 or above. ``body`` is its JSON object, or empty; it must not be shown to clients."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class ComfyClient:
    """Client of one server. Thread-safe. Methods raise ServerTimeout, ServerUnreachable or Rejected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cancels_jobs = True  # until the server says that it has no route for it
        self._http = self._connected(ServerCredentials())

    def _connected(self, known: ServerCredentials) -> httpx.Client:
        # Proxies of the environment are for external hosts.
        return httpx.Client(
            base_url=self._url,
            timeout=httpx.Timeout(TIMEOUT_S, connect=5.0),
            headers=credentials.headers(known),
            verify=credentials.tls_context(known) if known.ca else True,
            trust_env=False,
        )

    def use(self, known: ServerCredentials) -> None:
        """Authenticate with these credentials from now on. Raises ssl.SSLError if the CA is not PEM."""
        self._http = self._connected(known)  # requests that are under way end with the old client
        self._cancels_jobs = True

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # Server and models -------------------------------------------------------------------------------------------

    def system_stats(self) -> dict[str, Any]:
        """Return versions and devices."""
        return _dict(self._json("GET", "/system_stats"))

    def object_info(self) -> dict[str, Any]:
        """Return the node classes with their inputs and outputs."""
        return _dict(
            self._json("GET", "/object_info", timeout=httpx.Timeout(OBJECT_INFO_TIMEOUT_S, connect=5.0))
        )

    def queue_remaining(self) -> int:
        """Return the number of queued and running prompts of all clients."""
        info = _dict(self._json("GET", "/prompt")).get("exec_info")
        count = info.get("queue_remaining") if isinstance(info, dict) else 0
        return count if isinstance(count, int) and count > 0 else 0

    def model_folders(self) -> list[str]:
        """Return the names of the model folders; empty if the server does not list them."""
        return [name for name in self._names("/models") if name not in NO_MODEL_FOLDERS]

    def models(self, folder: str) -> list[str]:
        """Return the files of a model folder; empty if the server does not have the folder."""
        return self._names(f"/models/{quote(folder, safe='')}")

    def embeddings(self) -> list[str]:
        """Return the names of embeddings, without suffix."""
        return self._names("/embeddings")

    def _names(self, path: str) -> list[str]:
        try:
            names = self._json("GET", path)
        except Rejected as rejected:
            if rejected.status == httpx.codes.NOT_FOUND:
                return []
            raise
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def free(self) -> None:
        """Unload models and free memory before the next prompt."""
        self._send("POST", "/free", json={"unload_models": True, "free_memory": True})

    # Prompts -----------------------------------------------------------------------------------------------------

    def queue(self, graph: dict[str, Any], prompt_id: str, client_id: str) -> None:
        """Queue a prompt. Not idempotent. Raises Rejected if any node of the graph is invalid."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        response = _dict(self._json("POST", "/prompt", json=body))
        if response.get("node_errors"):  # ComfyUI queues the valid outputs, which may not include ours
            self.remove(prompt_id)
            raise Rejected(httpx.codes.BAD_REQUEST, response)

    def running(self) -> list[tuple[str, str]]:
        """Return (prompt id, client id) of running prompts."""
        return list(_items(self._json("GET", "/queue"), "queue_running"))

    def pending(self) -> list[tuple[str, str]]:
        """Return (prompt id, client id) of queued prompts."""
        return list(_items(self._json("GET", "/queue"), "queue_pending"))

    def is_queued_or_running(self, prompt_id: str) -> bool:
        """Whether the prompt is in the queue or running."""
        response = self._json("GET", "/queue")
        items = [*_items(response, "queue_running"), *_items(response, "queue_pending")]
        return any(item_id == prompt_id for item_id, _client in items)

    def outcome(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a prompt; None if it has not ended or is unknown."""
        return _dict(self._json("GET", f"/history/{prompt_id}")).get(prompt_id)

    def cancel(self, prompt_id: str) -> None:
        """Remove a prompt from the queue, or interrupt it if it is running; never another one.

        Newer servers do both in one step. For others the order is important: removed first, it cannot start in between.
        """
        if self._cancels_jobs:
            try:
                self._send("POST", f"/api/jobs/{prompt_id}/cancel")
                return
            except Rejected as rejected:
                if rejected.status not in NO_ROUTE:
                    raise
                if rejected.body:  # the route exists, and the prompt has ended
                    return
                self._cancels_jobs = False
        self.remove(prompt_id)
        self.interrupt(prompt_id)

    def remove(self, prompt_id: str) -> None:
        """Remove a prompt from the queue. A running prompt is not affected."""
        self._send("POST", "/queue", json={"delete": [prompt_id]})

    def interrupt(self, prompt_id: str) -> None:
        """Interrupt a prompt if it is running. Old servers ignore the id and interrupt the running prompt."""
        if any(running == prompt_id for running, _client in self.running()):
            self._send("POST", "/interrupt", json={"prompt_id": prompt_id})

    # Images ------------------------------------------------------------------------------------------------------

    def upload(self, name: str, data: bytes) -> str:
        """Upload an image and return its name for LoadImage."""
        files = {"image": (name, data, "image/png")}
        response = _dict(self._json("POST", "/upload/image", files=files, data={"subfolder": UPLOAD_FOLDER}))
        folder = response.get("subfolder") or ""
        return f"{folder}/{response['name']}" if folder else str(response["name"])

    def view(self, filename: str, subfolder: str, kind: str) -> bytes:
        """Return the bytes of an output. ``kind`` is "output", "input" or "temp". Also raises OutputTooLarge."""
        params = {"filename": filename, "subfolder": subfolder, "type": kind}
        data = bytearray()
        try:
            with self._http.stream("GET", "/view", params=params) as response:
                if not response.is_error:
                    for chunk in response.iter_bytes():
                        data += chunk
                        if len(data) > MAX_OUTPUT_BYTES:
                            raise OutputTooLarge
        except httpx.HTTPError as error:
            raise _failure("/view", error) from error
        _raise_for_status("/view", response.status_code, {})
        return bytes(data)

    # -------------------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise ServerTimeout(f"{path}: the response is not JSON") from error

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise _failure(path, error) from error
        if response.is_error:
            _raise_for_status(path, response.status_code, _body(response))
        return response


def _failure(path: str, error: httpx.HTTPError) -> ServerTimeout:
    kind = (
        ServerUnreachable if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else ServerTimeout
    )
    return kind(f"{path}: {type(error).__name__}")


def _raise_for_status(path: str, status: int, body: dict[str, Any]) -> None:
    if status in (502, 503, 504):  # of a proxy whose server is down
        raise ServerUnreachable(f"{path}: {status}")
    if httpx.codes.is_error(status):
        raise Rejected(status, body)


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        return _dict(response.json())
    except (ValueError, ServerTimeout):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServerTimeout("the response is not a JSON object")
    return value


def _items(response: Any, key: str) -> Iterator[tuple[str, str]]:
    for item in _dict(response).get(key, []):
        if isinstance(item, list) and len(item) > 3 and isinstance(item[3], dict):
            yield str(item[1]), str(item[3].get("client_id") or "")
