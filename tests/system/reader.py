"""A sink with an API, and readers of it: pages, and streams of server-sent events."""
import http.client
import json
import socket
import threading
import urllib.parse

from scripted_miner import Sink

TOKEN = "a-token-for-the-tests"


class ApiSink(Sink):
    """A Sink that serves readers on a free port, with TOKEN."""

    def __init__(self, postgres, folder, *args, port=0, **env):
        path = folder / "tokens"
        path.write_text(f"# of the tests\n{TOKEN}\n")
        self.token_file = str(path)
        super().__init__(postgres, "--api", f"127.0.0.1:{port}", "--api-token-file", self.token_file, *args, **env)

    def __enter__(self):
        super().__enter__()
        self.address = self.wait_log(r"api endpoint=http://(\S+)").group(1)
        self.wait_log(r"postgres state=up")
        return self

    def ask(self, path, method="GET", token=TOKEN, headers=None, **params):
        """Status, headers and body (JSON if it is)."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            if params:
                path += "?" + urllib.parse.urlencode(params)
            connection.request(method, path, headers={**({"Authorization": "Bearer " + token} if token else {}),
                                                      **(headers or {})})
            answer = connection.getresponse()
            body = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(body) if body and kind == "application/json" else body
        finally:
            connection.close()

    def page(self, **params):
        status, _, body = self.ask("/v1/items", **params)
        assert status == 200, body
        return body

    def all(self, limit=100, **params):
        """All items that there are, page by page."""
        items, more = [], True
        while more:
            page = self.page(limit=limit, **params)
            items += page["items"]
            params["cursor"], more = page["cursor"], page["more"]
        return items


class Stream:
    """A client of the stream that reads, in a thread, what comes. items: the events' data; cut: why it was cut."""

    def __init__(self, sink, last=None, **params):
        self.connection = http.client.HTTPConnection(sink.address, timeout=60)
        self.connection.request("GET", "/v1/stream?" + urllib.parse.urlencode(params), headers={
            "Authorization": "Bearer " + TOKEN, **({"Last-Event-ID": last} if last else {})})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.items, self.last, self.cut, self.error, self.over = [], last, None, None, False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        event = {}
        try:
            for line in iter(self.answer.readline, b""):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                    continue
                self.last = event.get("id", self.last)
                if "data" in event:
                    data = json.loads(event["data"])
                    kind = event.get("event")
                    if kind == "cut":
                        self.cut = data["reason"]
                    elif kind == "error":
                        self.error = data["error"]
                    else:
                        assert event["id"] == data["cursor"]
                        self.items.append(data)
                event = {}
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.over = True

    @property
    def keys(self):
        return [i["key"] for i in list(self.items)]

    def close(self):
        try:
            self.answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.thread.join(10)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Frozen:
    """A client that asks for the stream and reads nothing."""

    def __init__(self, sink):
        host, port = sink.address.rsplit(":", 1)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.connect((host, int(port)))
        self.socket.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
