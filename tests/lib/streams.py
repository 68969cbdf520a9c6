"""A host's end for network rows: one port swallows, one gives, one echoes."""
import socket
import socketserver
import threading

BLOCK = bytes(65536)


class Swallow(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while self.request.recv(1 << 20):
                pass
        except OSError:
            pass


class Give(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while True:
                self.request.sendall(BLOCK)
        except OSError:
            pass


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except OSError:
            pass


class Server:
    """with Server() as s: s.ports["tx"], "rx" and "rr" on 127.0.0.1"""

    def __enter__(self):
        self.servers = []
        self.ports = {}
        for way, handler in (("tx", Swallow), ("rx", Give), ("rr", Echo)):
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0),
                                                     handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever,
                             daemon=True).start()
            self.servers.append(server)
            self.ports[way] = server.server_address[1]
        return self

    def __exit__(self, *_):
        for s in self.servers:
            s.shutdown()
            s.server_close()
