"""The pictures of the documentation are what the runs that they are drawn from look like now."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _diagrams():
    spec = importlib.util.spec_from_file_location("diagrams", DOCS / "diagrams.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DIAGRAMS


@pytest.mark.parametrize(("name", "draw"), _diagrams().items(), ids=list(_diagrams()))
def test_a_diagram_is_up_to_date(name, draw):
    """If not: python docs/diagrams.py."""
    assert (DOCS / "diagrams" / f"{name}.svg").read_text(encoding="utf-8") == draw()


def test_the_pages_show_every_diagram_and_no_other():
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert set(re.findall(r"\(diagrams/([\w-]+)\.svg\)", pages)) == set(_diagrams())
