"""The notebook runs from top to bottom, and shows what it promises."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first-hour.ipynb"


def test_first_hour():
    """No cell fails; tables, diagrams and the plot are there."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [o["data"] for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    assert sum("<table" in d.get("text/html", "") for d in shown) >= 5
    assert sum("image/svg+xml" in d for d in shown) >= 3
    assert sum("image/png" in d for d in shown) == 1
    printed = "".join(
        o["text"] for c in notebook.cells for o in c.get("outputs", []) if o["output_type"] == "stream"
    )
    assert "2 of 5 nodes are up, 3 are needed" in printed and "the same hash: True" in printed
    assert "unsynced lost" in printed  # the story of the mistake: the vote, and the crash that forgot it
