"""Who runs the guest benchmark: a machine of ours, QEMU, the host itself.

Each is an agent that takes a line and answers with lines up to END, so that
all stand ready at once and a row runs on each right after the other.
"""
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from vmeste import GUESTS, TOP, VMESTE, Failure

# What is ended from outside ends its guests as well.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

IMAGE = TOP / "build/cache/bench"
KERNELS = {"cloud": "cloud/vmlinuz", "amd64": "amd64/vmlinuz",
           "i386": "di-i386/linux"}


def own_priority():
    """A session of its own is a scheduling group of its own, within which
    niceness counts; the group's weight is set apart.  Only to be first: who
    is last there may wait for minutes."""
    if os.nice(0) >= 0:
        return
    try:
        with open("/proc/self/autogroup", "w") as f:
            f.write(str(os.nice(0)))
    except OSError:
        pass


class Agent:
    """A process that we talk to over pipes."""

    def __init__(self, name, words, env=None):
        self.name = name
        self.words = [str(w) for w in words]
        self.env = env
        self.fresh = False  # started again after a failure
        self.text = ""
        self.at = 0
        self.began = time.monotonic()
        self.errors = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(
            self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=env, start_new_session=True,
            preexec_fn=own_priority)

    def expect(self, pattern, timeout):
        """Wait for the pattern after the last one; the text before it."""
        end = time.monotonic() + timeout
        fd = self.proc.stdout.fileno()
        found = re.compile(pattern)
        while True:
            m = found.search(self.text, self.at)
            if m:
                before = self.text[self.at:m.start()]
                self.at = m.end()
                self.match = m
                return before
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"{self.name}: no '{pattern}' in {timeout} s; "
                              + self.last_words())
            if not select.select([fd], [], [], min(left, 1))[0]:
                continue
            data = os.read(fd, 65536)
            if not data:
                raise Failure(f"{self.name} ended before '{pattern}'; "
                              + self.last_words())
            self.text += data.decode(errors="replace").replace("\r", "")

    def last_words(self):
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace")
        return f"last: {self.text[-800:]!r} {said[-800:]!r}"

    def ask(self, line, timeout=300):
        """Send a line; the lines of the answer."""
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()
        return self.expect(r"(?m)^END\n", timeout).splitlines()

    def again(self):
        """Another in place of this one, which is ended."""
        self.close()
        agent = Agent(self.name, self.words, self.env)
        agent.fresh = True
        if self.name != "native":
            agent.expect(r"BENCH-READY \d+\n", 300)
        return agent

    def close(self):
        """End the process and its children; it has nothing to lose."""
        try:
            os.killpg(self.proc.pid, signal.SIGTERM)
            self.proc.wait(5)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()
        self.errors.close()


def command(rival, kernel, initrd, append, options):
    """The words that start a guest; options: cpus, mem, nic, disk, and write=False
    to throw away what is written to the disk; format and cache of the disk.
    rival: "tcg", or (path of vmeste, engine)."""
    cpus, mem = options.get("cpus", 1), options.get("mem", 1024)
    disk, nic = options.get("disk"), options.get("nic", False)
    image = GUESTS / KERNELS[kernel]
    line = f"console=ttyS0 panic=-1 quiet {append}".strip()
    if rival == "tcg":
        words = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu",
                 "max", "-smp", cpus, "-m", mem, "-kernel", image, "-initrd",
                 initrd, "-append", line, "-display", "none", "-serial",
                 "stdio", "-monitor", "none", "-no-reboot", "-nic",
                 "user,model=virtio-net-pci" if nic else "none"]
        if disk:
            keep = "off" if options.get("write", True) else "on"
            fmt = {"vhd": "vpc"}.get(options.get("format"),
                                     options.get("format", "raw"))
            words += ["-drive", f"if=virtio,format={fmt},"
                      f"cache={options.get('cache', 'none')},"
                      f"file.locking=off,snapshot={keep},file={disk}"]
        return words
    path, engine = rival
    words = [path, "run", "--engine", engine, "--cpus", cpus, "--mem",
             f"{mem}M", "--kernel", image, "--initrd", initrd, "--append",
             line, "--no-reboot", "--display", "none"]
    words += ["--nic", "user"] if nic else []
    if disk:
        keep = "" if options.get("write", True) else ",snapshot"
        fmt = f",format={options['format']}" if "format" in options else ""
        words += ["--disk", f"{disk}{keep}{fmt}"]
    return words


def native():
    """The host itself: the same programs, the same agent."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
           "BENCH_TMP": "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"}
    return Agent("native", ["sh", IMAGE / "bench/rows", "serve"], env)


def guest(name, rival, **options):
    """A guest that has come up as an agent."""
    agent = Agent(name, command(rival, "cloud", IMAGE / "bench.cpio.gz",
                                "rdinit=/bench/init", options))
    agent.expect(r"BENCH-READY \d+\n", 300)
    return agent


DEBIAN = TOP / "build/cache/debian"
MOUNTS = """mount /dev/vda /mnt && mount -t proc proc /mnt/proc &&
mount -t sysfs sys /mnt/sys && mount -o bind /dev /mnt/dev &&
mkdir -p /mnt/dev/pts && mount -t devpts -o ptmxmode=666 pts /mnt/dev/pts &&
mount -t tmpfs tmp /mnt/tmp && echo mounted"""


def debian(name, rival, **options):
    """A guest with Debian on /mnt; changes to its disk are thrown away."""
    agent = guest(name, rival, disk=DEBIAN / "disk.img", write=False,
                  **options)
    if "mounted" not in agent.ask("sh " + MOUNTS.replace("\n", " ")):
        raise Failure(f"{name}: Debian's disk does not mount; "
                      + agent.last_words())
    return agent


def boot(rival, kernel, **options):
    """(seconds to user space, uptime that the guest counts)"""
    agent = Agent("boot", command(rival, kernel, GUESTS / f"{kernel}.cpio.gz",
                                  "", options))
    try:
        agent.expect(r"READY .*up ([0-9.]+) s", 300)
        return time.monotonic() - agent.began, float(agent.match.group(1))
    finally:
        agent.close()


def rivals(engines, binaries):
    """name -> rival, ours first; binaries: [(label, path)] or []"""
    found = {}
    for label, path in binaries or [("", VMESTE)]:
        for engine in engines:
            found[f"{label}-{engine}".strip("-")] = (path, engine)
    if shutil.which("qemu-system-x86_64"):
        found["tcg"] = "tcg"
    return found
