"""Prove that a wheel needs none of the system's libraries: ``prove_wheel.py WHEEL``, with Python 3.10 up.

Installs the wheel into a clean environment and hides the system's libzmq, libsodium, libjansson and
libnettle, where that is permitted (a mount namespace, which root has): each file is covered by /dev/null, so
that a loader that takes one fails. Then, from a folder away from the sources, it runs the demo simulated and
with processes over tcp; and looks, in /proc, at what this process and a node's have in fact mapped. The last
holds without the permission as well. What the carried libzmq was mended against is done to it
(prove_libzmq.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HIDDEN = ("libzmq", "libsodium", "libjansson", "libnettle")
FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
# Where a node and this process got their libraries from, each name once.
LOOK = f"""
import json, sys
from pathlib import Path
import quorate as q

def mapped(process):
    text = Path(f"/proc/{{process}}/maps").read_text()
    files = {{line.split(None, 5)[5] for line in text.splitlines() if len(line.split(None, 5)) == 6}}
    return sorted(f for f in files if any(name in Path(f).name for name in {HIDDEN!r}))

with q.Cluster(runtime="live", transport="tcp") as c:
    c.wait_leader()
    found = mapped("self"), mapped(c.status().nodes[0].pid)
inside = str(Path(q.__file__).resolve().parents[1] / "quorate.libs")
for files in found:
    assert len(files) >= 2, files  # libzmq and libsodium at least
    assert all(f.startswith(inside + "/") for f in files), files
print("the library and the node program use", *(Path(f).name for f in found[0]))
"""


def run(*command: object, **environment: str) -> None:
    """Runs a command that must succeed, away from the sources."""
    words = [str(word) for word in command]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    print("$", " ".join(words if len(words[-1]) < 100 else [*words[:-1], "..."]), flush=True)
    done = subprocess.run(words, cwd="/", env=kept | environment)
    if done.returncode:
        sys.exit(f"failed with {done.returncode}")


def system_files() -> list[Path]:
    """The system's own copies of what the wheel carries, each real file once."""
    found = {
        path.resolve()
        for folder in FOLDERS
        for name in HIDDEN
        for pattern in (f"{name}.so*", f"*-linux-gnu/{name}.so*")
        for path in Path(folder).glob(pattern)
    }
    return sorted(found)


def hide() -> None:
    """Covers the system's copies for this process and what it starts; says so if that is not permitted."""
    probe = ["unshare", "-m", "true"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        print("the system's libraries stay in sight: mount namespaces are not permitted here")
        return
    if os.environ.get("QUORATE_HIDDEN"):
        for path in system_files():
            subprocess.run(["mount", "--bind", "/dev/null", path], check=True)
        print("hidden:", *(path.name for path in system_files()))
        return
    os.environ["QUORATE_HIDDEN"] = "1"
    os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


def check_loader(root: Path) -> None:
    """The loader finds all that extension, node program and carried libraries need, none of it outside."""
    package = root / "quorate"
    for file in [*package.glob("_quorate*.so"), package / "quorate-node", *root.glob("quorate.libs/*.so*")]:
        done = subprocess.run(["ldd", file], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            name, _, place = line.strip().partition(" => ")
            inside = Path(place.split(" (")[0]).resolve().is_relative_to(root.resolve() / "quorate.libs")
            if "not found" in place or (name.startswith(HIDDEN) and not inside):
                sys.exit(f"{file.name}: {line.strip()}")


def main(wheel: str) -> None:
    """Installs and runs it."""
    wheel = str(Path(wheel).resolve())
    hide()
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "venv", folder)
        python, program = Path(folder, "bin/python"), Path(folder, "bin/quorate")
        # Where pip finds packages is its user's business: the variables that say so are passed on.
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, **pip)
        root = next(Path(folder, "lib").glob("python3*/site-packages"))
        check_loader(root)
        (carried,) = root.glob("quorate.libs/libzmq*")
        run(python, Path(__file__).with_name("prove_libzmq.py").resolve(), carried, "survives")
        run(program, "demo")
        run(program, "demo", "--transport", "tcp")
        run(python, "-c", LOOK)
    print(f"{Path(wheel).name}: runs with nothing but what it carries")


if __name__ == "__main__":
    main(*sys.argv[1:])
