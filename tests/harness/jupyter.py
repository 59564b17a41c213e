"""A client of JupyterLab that uses the same interfaces as the web page: HTTP and a kernel's WebSocket."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket


@dataclass(frozen=True)
class Jupyter:
    """The lab at a output URL with a token."""

    url: str
    certificate: Path | None = None
    """The lab's HTTPS certificate, the only one that the client trusts."""

    @property
    def token(self) -> str:
        """The token of the URL."""
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.url).query)["token"][0]

    @property
    def base(self) -> str:
        """The base URL of the API."""
        return self.url.partition("lab?")[0]

    def status(self, path: str, *, token: bool = True, headers: Mapping[str, str] | None = None) -> int:
        """Return the HTTP status of a GET request."""
        request = self._request(path, token=token)
        request.headers.update(headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._tls) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def cookies(self) -> list[str]:
        """Return the Set-Cookie headers of the response to the output URL."""
        with urllib.request.urlopen(self.url, timeout=10, context=self._tls) as answer:
            return list(answer.headers.get_all("Set-Cookie"))

    def session(self) -> dict[str, str]:
        """Return the headers that authenticate a browser that has opened the output URL."""
        return {"Cookie": "; ".join(cookie.partition(";")[0] for cookie in self.cookies())}

    def handshake(self, kernel: str, **options: Any) -> int:
        """Return the HTTP status of a WebSocket handshake with a kernel; the options are those of `websocket`."""
        address = f"{self.base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
        try:
            websocket.create_connection(address, timeout=10, **options).close()
        except websocket.WebSocketBadStatusException as error:
            return error.status_code
        return 101

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API; return the parsed JSON response."""
        request = self._request(path, method=method, data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def execute(self, code: str, *, seconds: float = 180) -> str:
        """Run a cell in a new kernel; return its output, or raise AssertionError with its traceback."""
        kernel = self.call("POST", "api/kernels", {"name": "python3"})["id"]
        try:
            channels = websocket.create_connection(
                f"{self.base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?token={self.token}",
                timeout=seconds,
                sslopt={"ca_certs": str(self.certificate)} if self.certificate else None,
            )
            try:
                return _run_cell(channels, code)
            finally:
                channels.close()
        finally:
            self.call("DELETE", f"api/kernels/{kernel}")

    @property
    def _tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.certificate) if self.certificate else None

    def _request(
        self, path: str, *, token: bool = True, method: str = "GET", data: bytes | None = None
    ) -> urllib.request.Request:
        headers = {"Authorization": f"token {self.token}"} if token else {}
        return urllib.request.Request(f"{self.base}{path}", data=data, headers=headers, method=method)


def _run_cell(channels: websocket.WebSocket, code: str) -> str:
    """Run a cell by the messages of https://jupyter-client.readthedocs.io/en/stable/messaging.html."""
    message = uuid.uuid4().hex
    header = {"msg_id": message, "msg_type": "execute_request", "username": "", "session": message, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    channels.send(
        json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content})
    )
    output = ""
    while True:
        answer = json.loads(channels.recv())
        if answer["parent_header"].get("msg_id") != message:
            continue
        kind = answer["msg_type"]
        if kind == "stream":
            output += answer["content"]["text"]
        elif kind == "error":
            raise AssertionError("\n".join(answer["content"]["traceback"]))
        elif kind == "status" and answer["content"]["execution_state"] == "idle":
            return output
