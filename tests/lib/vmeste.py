"""Start machines, talk to them, report as TAP.  Standard library only.

A test is a file that imports this, calls test functions through Plan and
ends with plan.done().  What it needs and is not there (a guest image, a
program, a device) is a skip with its reason.
"""
import gzip
import os
import pathlib
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("VMESTE_BUILD", TOP / "build"))
VMESTE = str(BUILD / "vmeste")
GUESTS = pathlib.Path(os.environ.get("VMESTE_GUESTS",
                                     TOP / "build/cache/guests"))
# Machines of who runs the tests are none of theirs.
os.environ["VMESTE_HOME"] = str(BUILD / "no-machines")
ENGINE = os.environ.get("VMESTE_ENGINE", "bt")
FLAGS = os.environ.get("VMESTE_FLAGS", "").split()  # for all machines
LONG = os.environ.get("VMESTE_LONG") == "1"
PROMPT = "vmeste# "


class Skip(Exception):
    """A need is missing; the text says which."""


class Failure(Exception):
    """The thing tested is wrong; the text says how."""


def guest(name):
    """Path of a fetched guest file, or skip."""
    path = GUESTS / name
    if not path.exists():
        raise Skip(f"no guest {name}: tools/fetch-guests fetches it")
    return str(path)


def need_program(name):
    from shutil import which
    path = which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise Skip(f"no program {name}")
    return path


def check(condition, text):
    if not condition:
        raise Failure(text)


def wait_until(condition, seconds, text):
    """Ask again and again until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{text} after {seconds} s")
        time.sleep(0.05)


class Machine:
    """`vmeste run` on pipes: standard output is the guest's first serial."""

    def __init__(self, *args, timeout=120, env=None, become=None):
        self.args = [VMESTE, "run", *FLAGS, *map(str, args)]
        self.log = ""
        self.at = 0  # how far expect() has come in the log
        self.limit = time.monotonic() + timeout
        self.errors = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(
            self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env={**os.environ, **(env or {})},
            preexec_fn=become)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(8)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        if kind is Failure:
            diagnose("command: " + shlex.join(self.args))
            diagnose("standard error:\n" + self.stderr())
            diagnose("last output:\n" + self.log[-1500:])
        self.errors.close()
        self.proc.stdin.close()
        self.proc.stdout.close()

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def pump(self, seconds):
        """Read what comes within seconds; False at the end of output."""
        fd = self.proc.stdout.fileno()
        if not select.select([fd], [], [], max(seconds, 0))[0]:
            return True
        data = os.read(fd, 65536)
        self.log += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, timeout=60):
        """Wait for the pattern after the last one; the match."""
        end = min(time.monotonic() + timeout, self.limit)
        alive = True
        while True:
            m = re.compile(pattern).search(self.log, self.at)
            if m:
                self.at = m.end()
                return m
            if not alive:
                raise Failure(f"output ended before '{pattern}'")
            if time.monotonic() >= end:
                raise Failure(f"no '{pattern}' in {timeout} s")
            alive = self.pump(min(end - time.monotonic(), 0.5))

    def send(self, text):
        self.proc.stdin.write(text.encode())
        self.proc.stdin.flush()

    def command(self, text, timeout=60):
        """Type a shell command at the prompt; its output.  The marks do not
        stand in what is typed, so the echo of it does not count."""
        self.send(f"echo be''gin; {text}; echo done=$?.\n")
        self.expect(r"begin\n", timeout)
        start = self.at
        m = self.expect(r"done=(\d+)\.\n", timeout)
        return self.log[start:m.start()]

    def shell(self, timeout=90):
        """Wait for the demo guest's prompt; the READY line."""
        ready = self.expect(r"READY .*\n", timeout).group(0)
        self.expect(re.escape(PROMPT), 30)
        return ready

    def wait(self, timeout=30):
        """The exit status; output still goes to the log."""
        end = time.monotonic() + timeout
        while self.pump(min(0.2, end - time.monotonic())):
            if time.monotonic() > end:
                raise Failure(f"still runs after {timeout} s")
        try:
            return self.proc.wait(max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            raise Failure(f"still runs after {timeout} s") from None


def linux(kernel="cloud", *args, append="", engine=ENGINE, initrd=None, **kw):
    """A machine with a kernel and the test initial RAM disk."""
    image = {"cloud": "cloud/vmlinuz", "amd64": "amd64/vmlinuz",
             "i386": "di-i386/linux"}[kernel]
    line = f"console=ttyS0 panic=-1 quiet {append}".strip()
    return Machine("--engine", engine, "--kernel", guest(image), "--initrd",
                   guest(initrd or f"{kernel}.cpio.gz"), "--append", line,
                   "--no-reboot", *args, **kw)


def cpu_seconds(m):
    """Of the machine's process."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(m.proc.pid)],
                              capture_output=True, check=True).stdout.split()
    with open(f"/proc/{int(children[0])}/stat", encoding="ascii") as f:
        w = f.read().rsplit(")", 1)[1].split()
    return (int(w[11]) + int(w[12])) / os.sysconf("SC_CLK_TCK")


def add_files(image, folder, *files):
    """An initial RAM disk with /drivers added: all modules of a fetched folder
    (or None), and files.  Its path; the caller removes it."""
    need_program("cpio")
    with tempfile.TemporaryDirectory() as tree:
        drivers = pathlib.Path(tree, "drivers")
        drivers.mkdir()
        modules = (pathlib.Path(guest(f"{folder}/order")).parent.iterdir()
                   if folder else [])
        for path in [*modules, *map(pathlib.Path, files)]:
            if path.name not in ("vmlinuz", ".done"):
                (drivers / path.name).write_bytes(path.read_bytes())
                (drivers / path.name).chmod(0o755)
        names = "".join(f"{p.relative_to(tree)}\n"
                        for p in [drivers, *sorted(drivers.iterdir())])
        extra = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree,
            input=names.encode(), capture_output=True, check=True).stdout
    fd, path = tempfile.mkstemp(prefix="vmeste-initrd-")
    with os.fdopen(fd, "wb") as f:
        f.write(pathlib.Path(guest(image)).read_bytes())
        f.write(gzip.compress(extra, 1))
    return path


def load_drivers(m, *names):
    out = m.command("cd /drivers; for m in " + " ".join(names) +
                    "; do insmod $m.ko || echo bad $m; done; cd /", 120)
    check("bad" not in out, out)


def run(*args, timeout=60, stdin=b"", env=None):
    """Run vmeste to its end: (status, stdout, stderr)."""
    p = subprocess.run([VMESTE, *map(str, args)], input=stdin,
                       capture_output=True, timeout=timeout,
                       env={**os.environ, **(env or {})})
    return (p.returncode, p.stdout.decode(errors="replace"),
            p.stderr.decode(errors="replace"))


def engine_usable(name):
    """Skip unless this host can use the engine."""
    import json
    status, out, _ = run("doctor", "-o", "json")
    for c in json.loads(out)["checks"]:
        if c["name"] == f"engine {name}":
            if c["state"] == "ok":
                return c["text"]
            raise Skip(f"engine {name}: {c['text']}")
    raise Skip(f"engine {name} is unknown")


def diagnose(text):
    for line in text.splitlines():
        print("# " + line, flush=True)


class Plan:
    """TAP: plan.test(function) per test, plan.done() at the end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def test(self, fn, *args, name=None):
        name = name or fn.__doc__ or fn.__name__
        if os.environ.get("VMESTE_ONLY", "") not in name:
            return  # by hand: those with this in their name
        self.count += 1
        label = f"{self.count} - {name}"
        began = time.monotonic()
        try:
            fn(*args)
            took = time.monotonic() - began
            print(f"ok {label} ({took:.1f} s)", flush=True)
        except Skip as e:
            print(f"ok {label} # SKIP {e}", flush=True)
        except Exception as e:  # a broken test must not end the others
            self.failed += 1
            print(f"not ok {label}", flush=True)
            diagnose(f"{type(e).__name__}: {e}")

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def guest_programs():
    """(name, width) of the bare-metal programs of tests/guest."""
    found = []
    for path in sorted((BUILD / "tests/guest").glob("guest-*-*.bin")):
        name, width = path.stem[len("guest-"):].rsplit("-", 1)
        found.append((name, width))
    return found


def guest_program(name, engine, width):
    """Run one of them; each failing line of its TAP fails."""
    folder = BUILD / "tests/guest"
    program = folder / f"guest-{name}-{width}.bin"
    if not program.exists():
        raise Skip(f"no program {program.name} in this build")
    cpus = "2" if name == "apic" else "1"
    p = subprocess.run([str(folder / "guest-harness"), engine, width,
                        str(program), cpus], capture_output=True, timeout=110)
    out = p.stdout.decode(errors="replace")
    if p.returncode == 77 or re.search(r"^1\.\.0 *# *SKIP", out, re.M):
        raise Skip(out.strip() or "not possible here")
    bad = [x for x in out.splitlines() if x.startswith("not ok")]
    check(p.returncode == 0 and not bad and "ok" in out,
          f"status {p.returncode}\n" + out[-3000:] +
          p.stderr.decode(errors="replace")[-1000:])
