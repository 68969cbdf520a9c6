"""Disk images for tests: vmeste disk and qemu-img side by side."""
import os
import random
import subprocess
import tempfile

from vmeste import Failure, check, need_program, run

QEMU = {"vhd": "vpc"}  # our name -> theirs, where they differ
MIB = 1 << 20


def qemu(name):
    return QEMU.get(name, name)


class Folder:
    """A folder of images, in memory if there is such a place."""

    def __enter__(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.TemporaryDirectory(prefix="vmeste-disk-",
                                               dir=memory)
        return self

    def __exit__(self, *unused):
        self.dir.cleanup()

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def __call__(self, *args, status=0, timeout=120):
        """vmeste disk ...; words that begin with @ are files here."""
        words = [self.path(a[1:]) if str(a).startswith("@") else str(a)
                 for a in args]
        got, out, err = run("disk", *words, timeout=timeout)
        if got != status:
            raise Failure(f"vmeste disk {' '.join(words)}: status {got}\n"
                          + out + err)
        return out + err

    def tool(self, *args, status=0):
        """qemu-img or qemu-io, in the folder."""
        program = need_program(args[0])
        p = subprocess.run([program, *map(str, args[1:])], cwd=self.dir.name,
                           capture_output=True, timeout=120)
        if p.returncode != status:
            raise Failure(f"{args}: status {p.returncode}\n" +
                          (p.stdout + p.stderr).decode(errors="replace"))
        return p.stdout.decode(errors="replace")

    def random_raw(self, name, size, seed=1, pieces=40):
        """A sparse file with pieces of random bytes."""
        r = random.Random(seed)
        with open(self.path(name), "wb") as f:
            f.truncate(size)
            for _ in range(pieces):
                n = r.choice((512, 4096, 70000, 1 << 20))
                at = r.randrange(0, max(size - n, 1)) // 512 * 512
                f.seek(at)
                f.write(r.randbytes(min(n, size - at)))

    def same(self, a, a_format, b, b_format):
        """Both programs say that both images show the same."""
        self("compare", "--from-format", a_format, "--format", b_format,
             "@" + a, "@" + b)
        self.tool("qemu-img", "compare", "-q", "-f", qemu(a_format), "-F",
                  qemu(b_format), a, b)

    def used(self, name):
        return os.stat(self.path(name)).st_blocks * 512


def check_refused(out, *words):
    for w in words:
        check(w in out, f"no '{w}' in: {out}")
