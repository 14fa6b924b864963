"""Write the C source of the extension ``quorate._quorate`` from the public header.

Run by CMake as ``build_ffi.py quorate.h callbacks.cdef out.c``. The header holds two markers with nothing but
plain C declarations between them; they are handed to cffi, without the export macro and other attribute
macros, which cffi does not understand. The compiler then checks every declaration against the header itself
(API mode), so the binding cannot drift from it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BEGIN = "/* qrt:declarations begin */"
END = "/* qrt:declarations end */"

# Attribute macros at the start of a declaration: QRT_API, and others of its kind such as QRT_MUST_USE.
_ATTRIBUTES = re.compile(r"^(?:QRT_(?:API|[A-Z_]*USE|NODISCARD)\b[ \t]*)+", re.MULTILINE)


def extract(header: str) -> str:
    """The declarations of the header as cffi reads them."""
    if header.count(BEGIN) != 1 or header.count(END) != 1 or header.index(BEGIN) > header.index(END):
        raise ValueError(f"the header must hold {BEGIN!r} and then {END!r}, once each")
    body = header.split(BEGIN)[1].split(END)[0]
    for number, line in enumerate(body.splitlines(), header.split(BEGIN)[0].count("\n") + 1):
        if line.lstrip().startswith("#"):
            raise ValueError(f"line {number}: no preprocessor between the markers: {line.strip()}")
    return _ATTRIBUTES.sub("", body)


def main(header_path: str, callbacks_path: str, output_path: str) -> None:
    """Generate the extension's source, leaving the file alone when nothing changed."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(extract(Path(header_path).read_text(encoding="utf-8")))
    ffi.cdef(Path(callbacks_path).read_text(encoding="utf-8"))
    ffi.set_source("quorate._quorate", '#include "quorate.h"\n')
    ffi.emit_c_code(output_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
