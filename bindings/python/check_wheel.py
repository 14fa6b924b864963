"""Check that a wheel is what its tag says: built against the stable ABI, exporting its init function alone.

``check_wheel.py quorate-*.whl`` prints everything that is wrong and ends non-zero if anything is. A wheel
for other systems (manylinux) must also carry its libraries, their licences, and run paths that lead to them.
Where abi3audit is installed it judges the symbols of Python too; without it only the names that CPython keeps
private (``_Py...``, beyond those that are part of the stable ABI) are refused.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# The private-looking functions that the stable ABI does contain and compilers emit references to.
STABLE_PRIVATE = {"_Py_Dealloc", "_Py_NoneStruct", "_Py_TrueStruct", "_Py_FalseStruct", "_Py_EllipsisObject"}

# What a wheel for other systems carries, as its files begin.
CARRIED = ("libzmq", "libsodium", "libjansson", "libnettle")


def symbols(library: Path, *options: str) -> list[str]:
    """The dynamic symbols of a shared library, as ``nm`` selects them."""
    output = subprocess.run(
        ["nm", "-D", *options, str(library)], check=True, capture_output=True, text=True
    ).stdout
    return [line.split()[-1].split("@")[0] for line in output.splitlines()]


def faults_of_library(library: Path) -> list[str]:
    """What is wrong with an extension that claims the stable ABI; nothing, if all is well."""
    faults = []
    if not library.name.endswith(".abi3.so"):
        faults.append(f"{library.name}: not an .abi3.so")
    exported = symbols(library, "--defined-only")
    if exported != ["PyInit__quorate"]:
        faults.append(f"{library.name}: exports {exported}, not PyInit__quorate alone")
    private = {name for name in symbols(library, "--undefined-only") if name.startswith("_Py")}
    if private - STABLE_PRIVATE:
        faults.append(f"{library.name}: needs private parts of Python: {sorted(private - STABLE_PRIVATE)}")
    return faults


def faults_of_carried(names: list[str]) -> list[str]:
    """What is wrong with the libraries that a wheel for other systems carries."""
    faults = []
    for library in CARRIED:
        if not any(name.startswith(f"quorate.libs/{library}") for name in names):
            faults.append(f"carries no {library}")
        if not any(name.endswith(f"licenses/carried/{library}.txt") for name in names):
            faults.append(f"carries no licence of {library}")
    if not any(name.endswith("licenses/carried/libzmq-changes.txt") for name in names):
        faults.append("carries a changed libzmq without its changes")
    return faults


def faults_of_program(program: Path) -> list[str]:
    """The node program must find the carried libraries, from where it lies."""
    command = ["readelf", "-d", str(program)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    paths = [line for line in output.splitlines() if "(RPATH)" in line or "(RUNPATH)" in line]
    if not any("$ORIGIN/../quorate.libs" in line for line in paths):
        return [f"{program.name}: its run path does not lead to the carried libraries: {paths}"]
    return []


def faults_of_wheel(wheel: Path) -> list[str]:
    """What is wrong with a wheel; nothing, if all is well."""
    faults = []
    _name, _version, python, abi, platform = wheel.stem.split("-")
    elsewhere = platform.startswith("manylinux")
    if (python, abi) != ("cp310", "abi3"):
        faults.append(f"{wheel.name}: tagged {python}-{abi}, not cp310-abi3")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        libraries = [name for name in names if name.endswith(".so") and not name.startswith("quorate.libs/")]
        if libraries != ["quorate/_quorate.abi3.so"]:
            faults.append(f"{wheel.name}: holds the libraries {libraries}")
        if "quorate/py.typed" not in names:
            faults.append(f"{wheel.name}: holds no py.typed")
        ours = {"quorate", "quorate.libs"} if elsewhere else {"quorate"}
        top = {name.split("/")[0] for name in names} - ours
        if any(not name.endswith(".dist-info") for name in top):
            faults.append(f"{wheel.name}: installs {sorted(top)} beside quorate")
        for name in libraries:
            faults += faults_of_library(Path(archive.extract(name, folder)))
        if elsewhere:
            faults += [f"{wheel.name}: {fault}" for fault in faults_of_carried(names)]
            faults += faults_of_program(Path(archive.extract("quorate/quorate-node", folder)))
    if importlib.util.find_spec("abi3audit"):
        audit = subprocess.run(
            [sys.executable, "-m", "abi3audit", "--strict", str(wheel)], capture_output=True, text=True
        )
        if audit.returncode:
            faults.append(audit.stdout + audit.stderr)
    return faults


if __name__ == "__main__":
    found = [fault for argument in sys.argv[1:] for fault in faults_of_wheel(Path(argument))]
    print("\n".join(found) or f"{' '.join(sys.argv[1:])}: as its tag says")
    sys.exit(bool(found) or len(sys.argv) < 2)
