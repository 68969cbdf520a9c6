"""Media and programs for UEFI, and OVMF to run them."""
import pathlib
import shutil
import struct
import subprocess
import tempfile

from vmeste import ENGINE, Machine, Skip, need_program

FOLDER = pathlib.Path("/usr/share/OVMF")
NOT_FOUND = (1 << 63) + 14  # EFI_NOT_FOUND: the next boot option, please


def machine(*flags, mem="256M", timeout=180, **kw):
    if not (FOLDER / "OVMF_CODE_4M.fd").exists():
        raise Skip("no OVMF: apt install ovmf")
    return Machine("--engine", ENGINE, "--firmware", "uefi", "--mem", mem,
                   *flags, timeout=timeout, **kw)


def program(text, status=NOT_FOUND):
    """An x64 application that prints text on COM1 and returns status (PE
    format, 3 and 4; UEFI 2.10, 2.1.1)."""
    code = bytes.fromhex("66baf803 488d3515000000 ac 84c0 7403 ee ebf8 48b8") \
        + struct.pack("<Q", status) + b"\xc3"
    code += bytes(32 - len(code)) + text.encode() + b"\0"
    code += bytes(-len(code) % 512)
    size = 512 + len(code)
    head = bytearray(512)
    head[0:2] = b"MZ"
    head[60:64] = struct.pack("<I", 64)
    head[64:88] = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, 1, 0, 0, 0,
                              240, 0x22e)
    head[88:328] = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII128x", 0x20b, 2, 0, len(code), 0, 0,
        512, 512, 1 << 22, 512, 512, 0, 0, 0, 0, 0, 0, 0, size, 512, 0, 10, 0,
        0, 0, 0, 0, 0, 16)
    head[328:368] = struct.pack("<8sIIIIIIHHI", b".text", len(code), 512,
                                len(code), 512, 0, 0, 0, 0, 0x60000020)
    return bytes(head) + code


def fat(path, files, mib=8):
    """A file system of FAT without partitions: {"EFI/BOOT/X": bytes or
    path}."""
    mkfs, mcopy, mmd = map(need_program, ("mkfs.vfat", "mcopy", "mmd"))
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    subprocess.run([mkfs, path], capture_output=True, check=True)
    made = set()
    for name, data in files.items():
        for folder in reversed(pathlib.PurePosixPath(name).parents):
            if folder.name and folder not in made:
                made.add(folder)
                subprocess.run([mmd, "-i", path, f"::{folder}"], check=True)
        with tempfile.NamedTemporaryFile() as f:
            if isinstance(data, bytes):
                f.write(data)
                f.flush()
                data = f.name
            subprocess.run([mcopy, "-i", path, data, f"::{name}"], check=True)
    return path


def stick(path, files, **kw):
    """What firmware starts from a disk by itself."""
    return fat(path, {"EFI/BOOT/BOOTX64.EFI" if n == "" else n: d
                      for n, d in files.items()}, **kw)


def cd(path, files, **kw):
    """A disc with files, and the program without a name in its El Torito
    image."""
    xorriso = need_program("xorriso")
    with tempfile.TemporaryDirectory() as tree:
        stick(pathlib.Path(tree, "efi.img"), {"": files[""]}, **kw)
        for name, data in files.items():
            if name:
                shutil.copy(data, pathlib.Path(tree, name))
        subprocess.run([xorriso, "-as", "mkisofs", "-quiet", "-o", path, "-e",
                        "efi.img", "-no-emul-boot", tree],
                       capture_output=True, check=True)
    return path
