"""A small RFB client (RFC 6143): raw encoding, desktop size, keys by position.
"""
import hashlib
import select
import socket
import ssl
import struct
import subprocess
import time

RAW, DESKTOP_SIZE, EXT_KEY = 0, -223, -258


class Refused(Exception):
    """The server does not let us in; the text is its own."""


def des(password, challenge):
    """VNC's authentication: DES with the bits of each key byte mirrored."""
    key = bytes(int(f"{b:08b}"[::-1], 2)
                for b in password.encode()[:8].ljust(8, b"\0"))
    p = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K",
                        key.hex(), "-provider", "legacy", "-provider",
                        "default"], input=challenge, capture_output=True,
                       check=True)
    return p.stdout


class Screen:
    def __init__(self, where, password=None, encodings=(RAW, DESKTOP_SIZE,
                                                        EXT_KEY), tls=False):
        if isinstance(where, str):
            self.s = socket.socket(socket.AF_UNIX)
        else:
            self.s = socket.socket()
        self.s.settimeout(20)
        self.s.connect(where)
        self.fingerprint = None
        version = self.take(12)
        assert version.startswith(b"RFB 003.008"), version
        self.s.sendall(version)
        kinds = self.take(self.take(1)[0])
        if tls:
            self.begin_tls(kinds, password)
        if password is not None:
            assert tls or 2 in kinds, kinds
            if not tls:
                self.s.sendall(b"\2")
            self.s.sendall(des(password, self.take(16)))
        elif not tls:
            if 1 not in kinds:
                raise Refused(f"security types {list(kinds)}")
            self.s.sendall(b"\1")
        if struct.unpack(">I", self.take(4))[0]:
            n = struct.unpack(">I", self.take(4))[0]
            raise Refused(self.take(n).decode())
        self.s.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        self.pixels = bytearray(4 * self.width * self.height)
        self.positions = False  # the server takes keys by position
        self.updates = self.bytes = 0
        # 32 bits, little endian, 0x00RRGGBB
        self.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255,
                                   255, 255, 16, 8, 0))
        self.s.sendall(struct.pack(f">BxH{len(encodings)}i", 2,
                                   len(encodings), *encodings))
        self.ask(False)

    def begin_tls(self, kinds, password):
        """VeNCrypt 0.2 with a certificate."""
        assert list(kinds) == [19], kinds
        self.s.sendall(b"\x13")
        assert self.take(2) == b"\0\2"
        self.s.sendall(b"\0\2")
        assert self.take(1) == b"\0"
        subtypes = [struct.unpack(">I", self.take(4))[0]
                    for _ in range(self.take(1)[0])]
        want = 260 if password is None else 261
        assert want in subtypes, subtypes
        self.s.sendall(struct.pack(">I", want))
        assert self.take(1) == b"\1"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # by its fingerprint
        self.s = context.wrap_socket(self.s)
        self.fingerprint = hashlib.sha256(
            self.s.getpeercert(binary_form=True)).hexdigest()

    def take(self, n):
        data = b""
        while len(data) < n:
            got = self.s.recv(min(n - len(data), 1 << 20))
            if not got:
                raise EOFError
            data += got
        return data

    def ask(self, incremental=True):
        self.s.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width,
                                   self.height))

    def message(self):
        kind = self.take(1)[0]
        if kind == 2:
            return  # bell
        if kind == 3:
            self.take(struct.unpack(">xxxI", self.take(7))[0])
            return
        assert kind == 0, kind
        rects = struct.unpack(">xH", self.take(3))[0]
        own = not rects
        for _ in range(rects):
            own |= self.rect(*struct.unpack(">HHHHi", self.take(12)))
        if own:
            self.updates += 1
            self.ask()

    def rect(self, x, y, width, height, encoding):
        if encoding == EXT_KEY:
            self.positions = True
            return False
        if encoding == DESKTOP_SIZE:
            self.width, self.height = width, height
            self.pixels = bytearray(4 * width * height)
            return True
        assert encoding == RAW, encoding
        data = self.take(4 * width * height)
        self.bytes += len(data)
        for row in range(height):
            at = 4 * ((y + row) * self.width + x)
            self.pixels[at:at + 4 * width] = \
                data[4 * width * row:4 * width * (row + 1)]
        return True

    def pump(self, seconds):
        """Take what comes within seconds."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not (self.fingerprint and self.s.pending()) and (
                    left <= 0 or
                    not select.select([self.s], [], [], left)[0]):
                return
            self.message()

    def wait(self, condition, seconds=20):
        """Until it holds; False: not in time."""
        end = time.monotonic() + seconds
        while not condition(self):
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.pump(min(left, 0.1))
        return True

    def rgb(self):
        """Rows of red, green, blue bytes."""
        out = bytearray(3 * self.width * self.height)
        for i in range(3):
            out[i::3] = self.pixels[2 - i::4]
        return bytes(out)

    def keysym(self, sym, down):
        self.s.sendall(struct.pack(">BBxxI", 4, down, sym))

    def position(self, code, down, sym=0):
        self.s.sendall(struct.pack(">BBHII", 255, 0, down, sym, code))

    def type(self, text):
        for c in text:
            self.keysym(0xff0d if c == "\n" else ord(c), 1)
            self.keysym(0xff0d if c == "\n" else ord(c), 0)
            time.sleep(0.02)

    def pointer(self, x, y, buttons=0):
        self.s.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def resize(self, width, height):
        """Ask for another size (SetDesktopSize, one screen)."""
        self.s.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0,
                                   0, 0, width, height, 0))

    def close(self):
        self.s.close()
