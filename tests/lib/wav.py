"""WAV files and what is in them.  Standard library only."""
import cmath
import math
import struct


def read(path):
    """(left, right) of a file of 16 bits, two channels, 48 kHz, whose header
    agrees with its length."""
    data = open(path, "rb").read()
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
    if (data[:4], data[8:16], kind, channels, rate, bits, data[36:40]) != (
            b"RIFF", b"WAVEfmt ", 1, 2, 48000, 16, b"data"):
        raise ValueError(f"another header: {data[:44]}")
    if struct.unpack_from("<I", data, 40)[0] != len(data) - 44:
        raise ValueError("its length is not what its header says")
    samples = struct.unpack(f"<{(len(data) - 44) // 2}h", data[44:])
    return samples[0::2], samples[1::2]


def write(path, rate, samples):
    """One channel of 16 bits."""
    data = struct.pack(f"<{len(samples)}h", *samples)
    with open(path, "wb") as f:
        f.write(struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data),
                            b"WAVEfmt ", 16, 1, 1, rate, rate * 2, 2, 16,
                            b"data", len(data)))
        f.write(data)


def sounds(x, silence=2400, threshold=200):
    """[(first, end)] of what is louder, between silences so long."""
    found = []
    for i in (i for i, v in enumerate(x) if abs(v) > threshold):
        if found and i - found[-1][1] < silence:
            found[-1][1] = i + 1
        else:
            found.append([i, i + 1])
    return [tuple(f) for f in found]


def pitch(x):
    """Hertz, by the times at which it rises through zero."""
    rises = [i - x[i] / (x[i + 1] - x[i]) for i in range(len(x) - 1)
             if x[i] < 0 <= x[i + 1]]
    return 48000 * (len(rises) - 1) / (rises[-1] - rises[0])


def tone(x, hertz):
    """(amplitude, noise) of a sine of that pitch: the strength of what it is,
    and of what is left when it is taken away, root mean square."""
    turn = -2j * math.pi * hertz / 48000
    c = sum(v * cmath.exp(turn * i) for i, v in enumerate(x)) * 2 / len(x)
    rest = sum((v - abs(c) * math.cos(2 * math.pi * hertz / 48000 * i +
                                      cmath.phase(c))) ** 2
               for i, v in enumerate(x))
    return abs(c), math.sqrt(rest / len(x))
