"""Debian 13's installer, with an archive that it can install from.

Kernel, initial RAM disk and drivers are fetch-guests' item di-13; what the
installer loads behind its first dialogs (udebs), and the system, come through
tests/lib/mirror.py.
"""
import gzip
import hashlib
import lzma
import pathlib
import re
import subprocess

from mirror import Mirror
from vmeste import Skip, guest, need_program

SUITE = "trixie"
UDEBS = "udebs"  # a suite of our own
INDEX = "main/debian-installer/binary-amd64/Packages"

# Components of no use: drivers, made for one kernel, and what is for other file
# systems than ext4 and FAT.  fetch-guests has put the drivers and programs that
# these need into the initial RAM disk: an archive may have a list that is older
# than the installer, and not all that stands in it.
WITHOUT = re.compile(r"Package: (e2fsprogs|xfsprogs|jfsutils|btrfs-progs|mdadm|"
                     r"open-iscsi|ntfs-3g|partman-(auto-raid|btrfs|cros|iscsi|"
                     r"jfs|md|xfs))(-udeb)?$|Kernel-Version: ", re.M)

# The list of udebs is ours, so nobody has signed it; packages are checked.
ALWAYS = f"""\
d-i mirror/udeb/suite string {UDEBS}
d-i debian-installer/allow_unauthenticated boolean true
d-i partman/early_command string \
debconf-set debian-installer/allow_unauthenticated false
d-i anna/no_kernel_modules boolean true
"""


def archive():
    """A Mirror of it, with a list of udebs of its own."""
    mirror = Mirror()
    path = mirror.fetch(f"dists/{SUITE}/{INDEX}.xz")
    if path is None:
        raise Skip(f"this host's archive has no installer of {SUITE}")
    with lzma.open(path, "rt", encoding="utf-8") as f:
        udebs = [x for x in f.read().split("\n\n")
                 if not WITHOUT.search(x)]
    index = gzip.compress("\n\n".join(udebs).encode())
    release = (f"Origin: Debian\nSuite: {UDEBS}\nCodename: {UDEBS}\n"
               f"Architectures: amd64\nComponents: main\nSHA256:\n "
               f"{hashlib.sha256(index).hexdigest()} {len(index)} {INDEX}.gz\n")
    mirror.files = {f"debian/dists/{UDEBS}/Release": release.encode(),
                    f"debian/dists/{UDEBS}/{INDEX}.gz": index}
    return mirror


def missing(mirror):
    """Skip if the archive had not all that it lists of the installer."""
    gone = [name for name, there in mirror.log
            if not there and name.endswith(".udeb")]
    if gone:
        raise Skip("this host's archive has no " +
                   " ".join(sorted({x.rsplit("/", 1)[1] for x in gone})))


def host(mirror):
    """What the installer calls it."""
    return mirror.url.removeprefix("http://")


def initrd(folder, kind, answers=""):
    """`kind` is text or gtk; the answers stand in the initial RAM disk."""
    need_program("cpio")
    pathlib.Path(folder, "preseed.cfg").write_text(ALWAYS + answers)
    more = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
                          cwd=folder, input=b"preseed.cfg\n",
                          capture_output=True, check=True).stdout
    path = pathlib.Path(folder, "initrd.gz")
    path.write_bytes(pathlib.Path(guest(f"di-13/{kind}.gz")).read_bytes() +
                     gzip.compress(more))
    return path
