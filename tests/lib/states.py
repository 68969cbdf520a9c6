"""Machines with a disk of any kind in their folder, and their states."""
import hashlib
import json
import os
import pathlib
import tempfile

from stored import FOLDER, HOME, create, run

KEY = pathlib.Path(HOME.name, "key")


def snaps(name):
    return {s["name"]: s for s in
            json.loads(run("snaps", "-o", "json", name))["snapshots"]}


def disk_path(name, snap):
    return FOLDER / name / snaps(name)[snap]["disks"]["disk0"]


def image_hash(path):
    """Of what a disk shows, by another process than the machine's."""
    with tempfile.NamedTemporaryFile(dir=HOME.name) as raw:
        run("disk", "convert", "-q", "--force", path, raw.name + ".img")
        with open(raw.name + ".img", "rb") as f:
            digest = hashlib.file_digest(f, "sha256") if hasattr(
                hashlib, "file_digest") else hashlib.sha256(f.read())
        os.unlink(raw.name + ".img")
    return digest.hexdigest()


def disk_hash(name, snap):
    return image_hash(disk_path(name, snap))


def made(name, size, *flags, kind="raw"):
    """A machine with an empty disk of that kind ("vhd:fixed", "qcow2+luks1")
    in its folder."""
    create(name, *flags, "--disk", size)
    xml = FOLDER / name / "machine.xml"
    text = xml.read_text().replace("quiet", "quiet nomount")
    if kind != "raw":
        kind, _, encrypt = kind.partition("+")
        kind, _, of = kind.partition(":")
        more = ["--kind", of] if of else []
        if encrypt:
            KEY.write_bytes(bytes(range(64)))
            more += [f"--{encrypt}", "--key-file", KEY]
            text = text.replace('img"', f'img" key-file="{KEY}"')
        (FOLDER / name / "disks/disk0.img").unlink()
        image = FOLDER / name / f"disks/disk0.{kind}"
        run("disk", "create", *more, image, size)
        text = text.replace("disk0.img", f"disk0.{kind}")
    xml.write_text(text)
