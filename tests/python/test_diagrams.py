"""The pictures of the documentation are what the runs that they are drawn from look like now."""

import importlib.util
import re
import subprocess
import sys
from itertools import combinations
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


def test_the_picture_of_the_readme_is_what_the_demo_draws(tmp_path):
    """If not: quorate demo --picture docs/demo.svg."""
    drawn = tmp_path / "demo.svg"
    command = [sys.executable, "-m", "quorate", "demo", "--picture", str(drawn)]
    subprocess.run(command, check=True, capture_output=True)
    assert drawn.read_text(encoding="utf-8") == (DOCS / "demo.svg").read_text(encoding="utf-8")


def _boxes(svg):
    """Of every label and name: left, top, right, bottom, as wide as the fonts' letters are."""
    found = re.findall(r'<text class="qrt-(text|name)" x="(\d+)" y="(\d+)"( text-anchor="\w+")?>([^<]*)', svg)
    for kind, x, y, anchor, text in found:
        if "end" not in anchor:  # the clock's column has nothing else
            width = len(text) * (6 if kind == "text" else 5.4)
            left = int(x) - (width / 2 if anchor else 0)
            yield left, int(y) - 7, left + width, int(y)


@pytest.mark.parametrize("picture", [DOCS / "demo.svg", *DOCS.glob("diagrams/*.svg")], ids=lambda p: p.stem)
def test_texts_do_not_cover_each_other(picture):
    """Of a text at most a corner is under another one."""
    for a, b in combinations(_boxes(picture.read_text(encoding="utf-8")), 2):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert width <= 0 or height <= 0 or width * height <= 45, (a, b)
