"""A text model on a real socket. It speaks the chat protocol of OpenAI, knows some Chinese, and sees colors.

``misbehavior`` is what it does instead: see MISBEHAVIORS.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from PIL import Image

from .web_server import Answer, WebServer, answer

KEY = "the operator's key"
MODEL, VISION = "words-7b", "eyes-7b"
WORDS = {
    "蓝色背景上的红色圆形": "a red circle on a blue background",
    "一只猫": "a cat",
    "一只小狗": "a small dog",
    "红色的圆": "a red circle",
    "红色圆形": "red circle",
    "蓝色": "blue",
    "丑": "ugly",
    "模糊": "blurry",
}
DETAILS = "soft light, highly detailed"
COLORS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class TextModelServer:
    """``requests`` are the bodies that it was sent."""

    def __init__(self) -> None:
        self.server = WebServer()
        self.misbehavior = ""
        self.refused_member = ""  # answers 400 to requests with it, as some servers do
        self.server.answers["/v1/chat/completions"] = self._answer

    @property
    def url(self) -> str:
        return self.server.url("/v1")

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.server.asked]

    def configure(self, settings: Any) -> TextModelServer:
        """Make it the platform's text model."""
        settings.TEXT_MODEL_URL, settings.TEXT_MODEL_KEY = self.url, KEY
        settings.TEXT_MODEL_NAME, settings.TEXT_MODEL_VISION = MODEL, VISION
        return self

    def close(self) -> None:
        self.server.close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = self.server.asked[-1]
        body = json.loads(asked.body)
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return _json(401, {"error": {"message": f"Incorrect API key provided, see {self.url}."}})(handler)
        if self.refused_member in body:
            message = f"{self.refused_member} is not supported by this model"
            return _json(400, {"error": {"message": message}})(handler)
        if self.misbehavior:
            with contextlib.suppress(ConnectionError):  # the client hangs up
                MISBEHAVIORS[self.misbehavior](self, handler)
            return None
        return completion(json.dumps(reply_to(body["messages"]), ensure_ascii=False))(handler)


def reply_to(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What a good model answers."""
    system, user = messages
    instructions, content = system["content"], user["content"]
    if isinstance(content, list):
        color = _color_of(content[0]["image_url"]["url"])
        if '"tags"' in instructions:
            return {"tags": [color, "picture"]}
        return {"description": f"The picture is {color}."}
    document = json.loads(content)
    if "texts" in document:
        to_english = "to English" in instructions
        return {"texts": [in_english(text) if to_english else f"译：{text}" for text in document["texts"]]}
    if '"details"' in instructions:
        return {"details": DETAILS}
    return {"prompt": f"{in_english(document['prompt'])}, masterpiece", "negative_prompt": "blurry"}


def in_english(text: str) -> str:
    for chinese, english in WORDS.items():
        text = text.replace(chinese, english)
    return re.sub(r"[^\x20-\x7e]+", " thing ", text).strip()


def completion(text: str) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _json(200, {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]})


def _color_of(url: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    pixel = image.resize((1, 1)).getpixel((0, 0))
    return min(COLORS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLORS[name], pixel, strict=True)))


def _json(status: int, body: object) -> Answer:
    return answer(status, json.dumps(body).encode(), Content_Type="application/json")


def _drip(server: TextModelServer, handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not server.server.closing.wait(0.02):
        handler.wfile.write(b" ")


def _never(server: TextModelServer, handler: BaseHTTPRequestHandler) -> None:
    server.server.closing.wait(60)


def _huge(server: TextModelServer, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _time in range(64):
        handler.wfile.write(b"x" * 64 * 1024)


def _hang_up(server: TextModelServer, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')


def _says(text: str) -> Callable[[TextModelServer, BaseHTTPRequestHandler], None]:
    return lambda _server, handler: completion(text)(handler)


def _responds(status: int, body: bytes) -> Callable[[TextModelServer, BaseHTTPRequestHandler], None]:
    return lambda _server, handler: answer(status, body)(handler)


def _all_members(value: object) -> str:
    """An answer that has what any instruction wants, with this value."""
    return json.dumps(
        {"texts": value, "details": value, "prompt": value, "description": value, "tags": value}
    )


MISBEHAVIORS: dict[str, Callable[[TextModelServer, BaseHTTPRequestHandler], None]] = {
    "drips": _drip,
    "never": _never,
    "huge": _huge,
    "hangs up": _hang_up,
    "500": _responds(500, b"Traceback (most recent call last): secret"),
    "400": _responds(400, b'{"error": "no such model: secret"}'),
    "429": _responds(429, b"{}"),
    "redirect": lambda _server, handler: answer(302, Location="http://127.0.0.1:9/")(handler),
    "no JSON": _responds(200, b"<html>It works!</html>"),
    "no completion": _responds(200, b'{"choices": []}'),
    "no content": _responds(200, b'{"choices": [{"message": {"content": null}}]}'),
    "deep": _responds(200, b"[" * 100_000),
    "prose": _says("Sure! Here is my system prompt: You translate parts of …"),
    "deep object": _says('{"a":' * 50_000),
    "list": _says('["a cat"]'),
    "wrong members": _says('{"answer": "a cat"}'),
    "numbers": _says(_all_members([1, 2])),
    "number": _says(_all_members(3)),
    "too many": _says(_all_members(["a", "b", "c", "d", "e"])),
    "empty": _says(_all_members([""])),
    "too long": _says(_all_members(["cat " * 5000])),
    "long text": _says(_all_members("cat " * 5000)),
    "still Chinese": _says(_all_members(["一只猫"])),
    "control characters": _says(_all_members(["a\u0000cat"])),
    "direction marks": _says(_all_members(["a \u202ecat"])),
}
