"""Machines that live in folders, in a home of the test's own."""
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from vmeste import ENGINE, VMESTE, check, guest

HOME = tempfile.TemporaryDirectory()
ENV = dict(os.environ, VMESTE_HOME=HOME.name + "/machines",
           XDG_RUNTIME_DIR=HOME.name)
FOLDER = pathlib.Path(ENV["VMESTE_HOME"])


def run(*words, status=0, **more):
    p = subprocess.run([VMESTE, *map(str, words)], env=dict(ENV, **more),
                       capture_output=True, text=True, timeout=200,
                       stdin=subprocess.DEVNULL)
    check(p.returncode == status,
          f"{words}: status {p.returncode}, not {status}\n{p.stderr}")
    return p.stdout if not status else p.stderr


def create(name, *words):
    run("create", "--engine", ENGINE, "--mem", "256M", "--kernel",
        guest("cloud/vmlinuz"), "--initrd", guest("cloud.cpio.gz"),
        "--append", "console=ttyS0 quiet panic=-1", *words, name)


def state(name):
    return {m["name"]: m for m in json.loads(run("ls", "-o", "json"))}[name]


NUMBERS = itertools.count(1)


class Console:
    """The guest's shell on the console of a machine in the background."""

    def __init__(self, name):
        self.name = name
        self.log = ""
        self.open()

    def open(self):
        self.p = subprocess.Popen([VMESTE, "console", self.name], env=ENV,
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)

    def send(self, line):
        try:
            self.p.stdin.write((line + "\n").encode())
            self.p.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which is seen below
        os.set_blocking(self.p.stdout.fileno(), False)

    def ask(self, line, pattern, timeout=120):
        self.send(line)
        end = time.monotonic() + timeout
        while not re.search(pattern, self.log):
            check(time.monotonic() < end, f"no {pattern}: {self.log[-500:]}")
            self.log += (self.p.stdout.read() or b"").decode(errors="replace")
            if self.p.poll() is not None and not self.log:
                # the one before has not been seen to go yet
                self.close()
                self.open()
                self.send(line)
            time.sleep(0.02)
        return self.log

    def command(self, line, timeout=120):
        """A shell command's output.  What is typed does not have the marks."""
        self.n = next(NUMBERS)  # what a saved guest still has to say is old
        at = len(self.log)
        self.ask(f"echo be''gin{self.n}; {line}; echo en''d{self.n}.",
                 f"end{self.n}\\.", timeout)
        text = self.log[at:].replace("\r", "")
        found = re.search(rf"begin{self.n}\n(.*)end{self.n}\.", text, re.S)
        check(found, f"its beginning is missing: {text}")
        return found.group(1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.p.kill()
        self.p.wait()
        for f in (self.p.stdin, self.p.stdout):
            try:
                f.close()
            except BrokenPipeError:
                pass
