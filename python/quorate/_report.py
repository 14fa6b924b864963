"""Where `quorate run` hears what a script found: the last check, or the hash of the last cluster closed.

A script that runs in another process (Lua's, or Python's under another program) is told by the environment
variable QUORATE_REPORT to write the same JSON, {"hash": .., "verdicts": {..}}, into the file of that name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

last: dict[str, Any] = {}  # {"hash", "verdicts"} of this process


def wanted() -> bool:
    """Somebody wants to know the hash of a cluster that closes unchecked."""
    return bool(os.environ.get("QUORATE_REPORT")) or bool(last.get("watching"))


def watch() -> None:
    """From now on notes are kept for `last`."""
    last.clear()
    last["watching"] = True


def note(trace_hash: str, verdicts: dict[str, str]) -> None:
    """The result of a check, or of a closed cluster (no verdicts, and only when nothing was checked)."""
    if not verdicts and last.get("verdicts"):
        return
    last.update(hash=trace_hash, verdicts=verdicts)
    path = os.environ.get("QUORATE_REPORT")
    if path:
        Path(path).write_text(json.dumps({"hash": trace_hash, "verdicts": verdicts}) + "\n", encoding="utf-8")
