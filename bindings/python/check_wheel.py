"""Check that a wheel is what its tag says: built against the stable ABI, exporting its init function alone.

``check_wheel.py quorate-*.whl`` prints everything that is wrong and ends non-zero if anything is. Where
abi3audit is installed it judges the symbols of Python too; without it only the names that CPython keeps
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


def faults_of_wheel(wheel: Path) -> list[str]:
    """What is wrong with a wheel; nothing, if all is well."""
    faults = []
    _name, _version, python, abi, _platform = wheel.stem.split("-")
    if (python, abi) != ("cp310", "abi3"):
        faults.append(f"{wheel.name}: tagged {python}-{abi}, not cp310-abi3")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        libraries = [name for name in names if name.endswith(".so")]
        if libraries != ["quorate/_quorate.abi3.so"]:
            faults.append(f"{wheel.name}: holds the libraries {libraries}")
        if "quorate/py.typed" not in names:
            faults.append(f"{wheel.name}: holds no py.typed")
        top = {name.split("/")[0] for name in names} - {"quorate"}
        if any(not name.endswith(".dist-info") for name in top):
            faults.append(f"{wheel.name}: installs {sorted(top)} beside quorate")
        for name in libraries:
            faults += faults_of_library(Path(archive.extract(name, folder)))
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
