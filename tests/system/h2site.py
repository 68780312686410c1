"""A web server that speaks HTTP/2 only, over TLS (ALPN): for tests of what a miner makes of it.

    web = H2Web(context)                 # an ssl.SSLContext with a certificate
    web.pages["/a"] = (200, {"etag": '"1"'}, "body")   # or a function of the request, which is answered with what it gives
    web.requests                         # [Request], in order; .connection says over which one it came
"""
import collections
import dataclasses
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

RESET = object()  # in the place of an answer: RST_STREAM


@dataclasses.dataclass
class Request:
    connection: int
    method: str
    path: str
    headers: dict
    body: bytes = b""


class H2Web:
    def __init__(self, context):
        context.set_alpn_protocols(["h2"])
        self.context = context
        self.pages = {}
        self.requests = []
        self.connections = 0
        self.going_away = False  # GOAWAY behind each answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"https://{host}:{self.port}{path}"

    def asked(self, path):
        return [r for r in self.requests if r.path == path]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(plain, self.connections), daemon=True).start()

    def _serve(self, plain, number):
        try:
            with self.context.wrap_socket(plain, server_side=True) as tls:
                _Connection(self, tls, number).run()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass


class _Connection:
    def __init__(self, web, tls, number):
        self.web, self.tls, self.number = web, tls, number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.asking = {}  # stream -> Request
        self.sending = collections.OrderedDict()  # stream -> iterator of what is to be sent, the piece at hand

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while True:
            data = self.tls.recv(65536)
            if not data:
                return
            for event in self.h2.receive_data(data):
                self.on(event)
            self.pump()
            self.flush()

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    def on(self, event):
        if isinstance(event, h2.events.RequestReceived):
            headers = dict(event.headers)
            self.asking[event.stream_id] = Request(self.number, headers[":method"], headers[":path"], headers)
        elif isinstance(event, h2.events.DataReceived):
            self.asking[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.answer(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.sending.pop(event.stream_id, None)

    def answer(self, stream):
        request = self.asking.pop(stream)
        self.web.requests.append(request)
        page = self.web.pages.get(request.path, (404, {}, b""))
        page = page(request) if callable(page) else page
        if page is RESET:
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return
        status, headers, body = page
        self.h2.send_headers(stream, [(":status", str(status)), *headers.items()])
        body = body.encode() if isinstance(body, str) else body
        self.sending[stream] = [iter([body] if isinstance(body, bytes) else body), b""]

    def pump(self):
        """Sends as much of the bodies as the client's windows let through."""
        for stream in list(self.sending):
            pieces, piece = self.sending[stream]
            while True:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                if piece is not None and not piece:
                    piece = next(pieces, None)
                if piece is None or not room:
                    break
                if piece is RESET:
                    self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
                    piece = None
                    del self.sending[stream]
                    break
                self.h2.send_data(stream, piece[:room])
                piece = piece[room:]
            if stream not in self.sending:
                continue
            self.sending[stream][1] = piece
            if piece is None:
                self.h2.end_stream(stream)
                del self.sending[stream]
                if self.web.going_away:
                    self.h2.close_connection(last_stream_id=stream)
