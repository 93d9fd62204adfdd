"""Load of clients of many dialects, for the tests that kill processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.faked_installation import FakedInstallation
from tests.support.fake_runner import png
from tests.support.volcengine_signer import signed_headers
from tests.support.web_server import WebServer, answer

CLIENTS_PER_DIALECT = 2
SIZE = {"prompt": "a red circle", "width": 64, "height": 64}
DONE, PHOTO = "/done", "/photo.png"
ALL_ACKNOWLEDGED = {"code": "200", "error_code": 0}  # what the receivers of all dialects respond


class Load:
    """Clients of all dialects of the users' documents. Each sends its request again, with the same id, until it is acknowledged."""

    def __init__(self, installation: FakedInstallation) -> None:
        self.installation, self.receiver = installation, WebServer()
        self.receiver.answers[DONE] = answer(200, json.dumps(ALL_ACKNOWLEDGED).encode())
        self.receiver.answers[PHOTO] = answer(200, png(64, 64), Content_Type="image/png")
        self.sent: list[str] = []  # ids of the acknowledged requests
        self.served: set[str] = set()  # dialects with an acknowledged request
        self._stopping = threading.Event()
        self.senders = [
            self.a1111,
            self.native,
            self.smzdm,
            self.stablediffusionapi,
            self.volcengine,
            self.zhiqite,
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(sender,), daemon=True)
            for sender in self.senders * CLIENTS_PER_DIALECT
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, send: Callable[[str], bool]) -> None:
        while not self._stopping.is_set():
            request_id = str(uuid4())
            while not self._is_acknowledged(send, request_id):
                time.sleep(0.2)
            self.sent.append(request_id)
            self.served.add(send.__name__)

    @property
    def serves_all_dialects(self) -> bool:
        return len(self.served) == len(self.senders)

    @property
    def received_callbacks(self) -> int:
        return sum(asked.path == DONE for asked in self.receiver.asked)

    @staticmethod
    def _is_acknowledged(send: Callable[[str], bool], request_id: str) -> bool:
        try:
            return send(request_id)
        except (httpx.HTTPError, json.JSONDecodeError):  # the web process was killed
            return False

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        url = self.installation.base_url + path
        return httpx.post(url, json=body, headers=headers, timeout=120)

    def a1111(self, request_id: str) -> bool:
        auth = (self.installation.credentials["key_id"], self.installation.credentials["secret"])
        response = httpx.post(
            f"{self.installation.base_url}/sdapi/v1/txt2img",
            json={**SIZE, "steps": 2, "force_task_id": request_id},
            auth=auth,
            timeout=120,
        )
        return response.status_code == 200

    def native(self, request_id: str) -> bool:
        body = {**SIZE, "external_id": request_id, "callback_url": self.receiver.url(DONE)}
        response = self._post("/api/v1/jobs", body, {"Authorization": f"Bearer {self._key}"})
        return response.status_code in (200, 201)

    def stablediffusionapi(self, request_id: str) -> bool:
        body = {**SIZE, "key": self._key, "track_id": request_id, "webhook": self.receiver.url(DONE)}
        response = self._post("/api/v3/text2img", body, {"Idempotency-Key": request_id})
        return response.json()["status"] in ("success", "processing")

    def zhiqite(self, request_id: str) -> bool:
        credentials = self.installation.credentials
        headers = {
            "X-Request-req-accessKeyId": credentials["key_id"],
            "X-Request-req-accessKeySecret": credentials["secret"],
            "Idempotency-Key": request_id,
        }
        body = {
            **SIZE,
            "width": 128,
            "height": 128,
            "steps": 4,
            "callbackUrl": self.receiver.url(DONE),
            "alwayson_scripts": {
                "sd_model_checkpoint": "atelier-shapes.safetensors",
                "id_task": request_id,
            },
        }
        response = self._post("/AIGCImgOpenServ/saas/sd/v2/text2image", body, headers)
        return response.json()["code"] == "200"

    def smzdm(self, request_id: str) -> bool:
        body = {
            "img_url": self.receiver.url(PHOTO),
            "prompt": "a blue background",
            "from": "demo",
            "taskid": 7,
            "callback_url": self.receiver.url(DONE),
        }
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": request_id}
        return self._post("/pictures/change_background", body, headers).json()["error_code"] == 0

    def volcengine(self, request_id: str) -> bool:
        """The signature is newly made for each attempt, as the vendor's SDK does."""
        body = json.dumps({"req_key": "high_aes_general_v20", **SIZE}).encode()
        query = {"Action": "CVSync2AsyncSubmitTask", "Version": "2022-08-31"}
        host = self.installation.base_url.removeprefix("http://")
        credentials = self.installation.credentials
        headers = signed_headers(credentials["key_id"], credentials["secret"], query, body, host=host)
        response = httpx.post(
            self.installation.base_url,
            params=query,
            content=body,
            headers=headers | {"Idempotency-Key": request_id},
            timeout=120,
        )
        return response.json().get("code") == 10000

    @property
    def _key(self) -> str:
        return f"{self.installation.credentials['key_id']}:{self.installation.credentials['secret']}"
