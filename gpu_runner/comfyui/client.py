"""ComfyUI's HTTP routes, and a name for each way in which a call goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

TIMEOUT_S = 20.0  # a server that loads a large model answers late
UPLOAD_FOLDER = "atelier"


class ServerTimeout(Exception):
    """No answer, or none that makes sense. Whether the call had its effect is not known."""


class ServerUnreachable(ServerTimeout):
    """Nobody answers at the address: the call had no effect."""


class Rejected(Exception):
    """An answer with a status of 400 or above. ``body`` is what it said, if that was JSON; it is not for clients' eyes."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class ComfyClient:
    def __init__(self, url: str) -> None:
        # A proxy of the environment is for the way out of the house.
        self._http = httpx.Client(
            base_url=url, timeout=httpx.Timeout(TIMEOUT_S, connect=5.0), trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    # What it is and has ------------------------------------------------------------------------------------------

    def system_stats(self) -> dict[str, Any]:
        return _dict(self._json("GET", "/system_stats"))

    def object_info(self) -> dict[str, Any]:
        return _dict(self._json("GET", "/object_info"))

    def models(self, folder: str) -> list[str]:
        """Empty where the server has no such folder."""
        return self._names(f"/models/{folder}")

    def embeddings(self) -> list[str]:
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
        """It drops its models before it takes the next prompt."""
        self._send("POST", "/free", json={"unload_models": True, "free_memory": True})

    # Prompts -----------------------------------------------------------------------------------------------------

    def queue(self, graph: dict[str, Any], prompt_id: str, client_id: str) -> None:
        """Not idempotent. Raises Rejected where it will not run all of the graph."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        answer = _dict(self._json("POST", "/prompt", json=body))
        if answer.get("node_errors"):  # some of its outputs would be made, and ours perhaps not
            self.remove(prompt_id)
            raise Rejected(httpx.codes.BAD_REQUEST, answer)

    def running(self) -> list[tuple[str, str]]:
        """(prompt id, client id)"""
        return list(_items(self._json("GET", "/queue"), "queue_running"))

    def pending(self) -> list[tuple[str, str]]:
        return list(_items(self._json("GET", "/queue"), "queue_pending"))

    def holds(self, prompt_id: str) -> bool:
        answer = self._json("GET", "/queue")
        items = [*_items(answer, "queue_running"), *_items(answer, "queue_pending")]
        return any(held == prompt_id for held, _client in items)

    def outcome(self, prompt_id: str) -> dict[str, Any] | None:
        """None for what has not ended, and for what it does not know."""
        return _dict(self._json("GET", f"/history/{prompt_id}")).get(prompt_id)

    def remove(self, prompt_id: str) -> None:
        """From the queue; a running prompt is not touched."""
        self._send("POST", "/queue", json={"delete": [prompt_id]})

    def interrupt(self, prompt_id: str) -> None:
        """Only what runs, and only while it is seen running: old servers interrupt whatever they run."""
        if any(running == prompt_id for running, _client in self.running()):
            self._send("POST", "/interrupt", json={"prompt_id": prompt_id})

    # Pictures ----------------------------------------------------------------------------------------------------

    def upload(self, name: str, data: bytes) -> str:
        """The name that LoadImage knows it by."""
        files = {"image": (name, data, "image/png")}
        answer = _dict(self._json("POST", "/upload/image", files=files, data={"subfolder": UPLOAD_FOLDER}))
        folder = answer.get("subfolder") or ""
        return f"{folder}/{answer['name']}" if folder else str(answer["name"])

    def view(self, filename: str, subfolder: str, kind: str) -> bytes:
        params = {"filename": filename, "subfolder": subfolder, "type": kind}
        return self._send("GET", "/view", params=params).content

    # -------------------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise ServerTimeout(f"{path}: the answer is not JSON") from error

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnreachable(f"{path}: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise ServerTimeout(f"{path}: {type(error).__name__}") from error
        if response.status_code in (502, 503, 504):  # a proxy before a server that is gone
            raise ServerUnreachable(f"{path}: {response.status_code}")
        if response.is_error:
            raise Rejected(response.status_code, _body(response))
        return response


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        return _dict(response.json())
    except (ValueError, ServerTimeout):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServerTimeout("the answer is no object")
    return value


def _items(answer: Any, key: str) -> Iterator[tuple[str, str]]:
    for item in _dict(answer).get(key, []):
        if isinstance(item, list) and len(item) > 3 and isinstance(item[3], dict):
            yield str(item[1]), str(item[3].get("client_id") or "")
