"""PNG files of 8-bit colours, read and compared.  Standard library only."""
import struct
import zlib


def read(path):
    """(width, height, rows of red, green, blue bytes)"""
    data = open(path, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed = 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and colour == 2 and not body[12], body
        elif kind == b"IDAT":
            packed += body
        at += 12 + n
    return width, height, unfilter(zlib.decompress(packed), width * 3, height)


def unfilter(raw, pitch, height):
    out, last = bytearray(), bytearray(pitch)
    for y in range(height):
        kind = raw[y * (pitch + 1)]
        row = bytearray(raw[y * (pitch + 1) + 1:(y + 1) * (pitch + 1)])
        if kind == 2:
            row = bytearray((a + b) & 255 for a, b in zip(row, last))
        elif kind:
            for i in range(pitch):
                left = row[i - 3] if i >= 3 else 0
                up, corner = last[i], last[i - 3] if i >= 3 else 0
                row[i] = (row[i] + predict(kind, left, up, corner)) & 255
        out += row
        last = row
    return bytes(out)


def predict(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    p = left + up - corner
    a, b, c = abs(p - left), abs(p - up), abs(p - corner)
    return left if a <= b and a <= c else up if b <= c else corner
