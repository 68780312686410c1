"""A TCP relay whose connections a test can cut.

    with Relay("tcp://127.0.0.1:7441") as relay:
        relay.endpoint     # what to connect to in its place
        relay.cut()        # resets all connections there are; new ones are taken at once
"""
import selectors
import socket
import struct
import threading


class Relay:
    def __init__(self, target):
        host, port = target.removeprefix("tcp://").rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.selector = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.peers = {}    # socket -> the other side's
        self.waiting = {}  # socket -> what it has yet to be sent
        self.order = None  # for the thread: "cut" or "stop"
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self._tell("stop")
        self.thread.join(10)

    def cut(self):
        self._tell("cut")

    def _tell(self, order):
        self.order = order
        self.waker.send(b"x")

    # -- the thread --

    def _run(self):
        while self.order != "stop":
            for key, events in self.selector.select():
                if key.fileobj is self.wake:
                    self.wake.recv(100)
                    for s in list(self.peers):
                        self._close(s)
                elif key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.peers:
                    self._move(key.fileobj, events)
        for s in (self.listener, self.wake, self.waker):
            s.close()
        self.selector.close()

    def _accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(self.target, timeout=1)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setblocking(False)
            self.peers[one], self.waiting[one] = other, b""
            self.selector.register(one, selectors.EVENT_READ)

    def _move(self, s, events):
        other = self.peers[s]
        try:
            if events & selectors.EVENT_WRITE:
                self.waiting[s] = self.waiting[s][s.send(self.waiting[s]):]
            if events & selectors.EVENT_READ:
                data = s.recv(1 << 16)
                if not data:
                    raise ConnectionResetError
                self.waiting[other] += data
        except BlockingIOError:
            pass
        except OSError:
            self._close(s)
            return
        for one in (s, other):  # who has much to take slows the other down
            wanted = selectors.EVENT_WRITE if self.waiting[one] else 0
            if len(self.waiting[self.peers[one]]) < 1 << 20:
                wanted |= selectors.EVENT_READ
            self._want(one, wanted)

    def _want(self, s, wanted):
        registered = s in self.selector.get_map()
        if wanted and registered:
            self.selector.modify(s, wanted)
        elif wanted:
            self.selector.register(s, wanted)
        elif registered:
            self.selector.unregister(s)

    def _close(self, s):
        for one in (s, self.peers.get(s)):
            if one not in self.peers:
                continue
            if one in self.selector.get_map():
                self.selector.unregister(one)
            del self.peers[one], self.waiting[one]
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
            one.close()
