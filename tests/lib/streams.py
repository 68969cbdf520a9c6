"""A host's end for network rows: one port swallows and counts, one gives."""
import socketserver
import threading

BLOCK = bytes(65536)


class Swallow(socketserver.BaseRequestHandler):
    def handle(self):
        total = 0
        while True:
            data = self.request.recv(1 << 20)
            if not data:
                break
            total += len(data)
        self.request.sendall(f"{total}\n".encode())


class Give(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            for _ in range(200_000_000 // len(BLOCK)):
                self.request.sendall(BLOCK)
        except OSError:
            pass


class Server:
    """with Server() as s: s.sink and s.source are ports on 127.0.0.1"""

    def __enter__(self):
        self.servers = []
        for handler in (Swallow, Give):
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0),
                                                     handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever,
                             daemon=True).start()
            self.servers.append(server)
        self.sink, self.source = (s.server_address[1] for s in self.servers)
        return self

    def __exit__(self, *_):
        for s in self.servers:
            s.shutdown()
            s.server_close()
