"""Debian's archive for guests: a server on loopback, filled by this host's apt.

What a guest asks for is fetched by apt's own helper from where apt fetches,
with apt's settings, and packages are kept in the cache of guests: the guest
itself has no network but this.
"""
import contextlib
import http.server
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

from vmeste import GUESTS, Skip

HELPER = "/usr/lib/apt/apt-helper"
GUEST_HOST = "10.0.2.2"  # the host's loopback, as guests see it
WORDS = re.compile(r"/debian/((?:dists|pool)(?:/[A-Za-z0-9+~:_%-][^/]*)+)$")


def archive():
    """Where this host's apt has the main archive of Debian from, or skip."""
    if not pathlib.Path(HELPER).exists():
        raise Skip("no apt here")
    out = subprocess.run(
        ["apt-get", "indextargets", "--format",
         "$(ORIGIN) $(LABEL) $(CODENAME) $(COMPONENT) $(REPO_URI)"],
        capture_output=True, text=True, check=False).stdout
    for line in out.splitlines():
        m = re.match(r"Debian Debian bookworm main (http\S+?)/*$", line)
        if m:
            return m[1]
    raise Skip("this host's apt has no archive of Debian 12")


class Mirror:
    """`url` is what a guest calls it; `files` are answered by name."""

    def __init__(self, files=None):
        self.source = archive()
        self.files = files or {}
        self.log = []
        self.kept = GUESTS / "mirror"
        self.fresh = tempfile.TemporaryDirectory(prefix="vmeste-mirror-")
        self.lock = threading.Lock()

    def fetch(self, name):
        """A file of the archive, here; None if there is none."""
        # Indices change, packages never.
        folder = self.kept if name.startswith("pool/") else self.fresh.name
        path = pathlib.Path(folder, name.replace("%", "%25"))
        with self.lock:
            if path.exists():
                return path
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as new:
                got = subprocess.run(
                    [HELPER, "-o", "APT::Sandbox::User=root",
                     "download-file", f"{self.source}/{name}", f"{new}/x"],
                    capture_output=True, check=False)
                if got.returncode:
                    return None
                pathlib.Path(new, "x").rename(path)
        return path

    def __enter__(self):
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                name = re.sub("//+", "/", self.path)
                m = WORDS.match(name)
                path = mirror.fetch(m[1]) if m else None
                own = mirror.files.get(name[1:])
                there = own is not None or path is not None
                mirror.log.append((self.path, there))
                if not there:
                    self.send_error(404)
                    return
                size = len(own) if path is None else path.stat().st_size
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command == "HEAD":
                    return
                with contextlib.suppress(OSError):
                    if path is None:
                        self.wfile.write(own)
                        return
                    with path.open("rb") as f:
                        shutil.copyfileobj(f, self.wfile)

            do_HEAD = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://{GUEST_HOST}:{self.port}"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.fresh.cleanup()
