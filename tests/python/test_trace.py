"""The trace as columns without a copy, as lines, as a picture."""

import gc
import subprocess
import sys

import pytest
import quorate as q
from quorate.trace import COLUMNS

np = pytest.importorskip("numpy")


def traced() -> q.Trace:
    """The trace of a cluster that is closed by now."""
    with q.Cluster("raft", nodes=3, seed=5) as c:
        c.crash(c.wait_leader())
        c.run(1)
        return c.trace


def test_columns_are_views_that_outlive_everything():
    """No copy, read-only, and valid after the cluster and the trace are gone."""
    trace = traced()
    count = len(trace)
    arrays = {name: trace[name] for name in COLUMNS}
    assert trace["time"].ctypes.data == arrays["time"].ctypes.data
    copies = {name: array.copy() for name, array in arrays.items()}
    del trace
    gc.collect()
    churn = [traced() for _ in range(5)]  # what was freed would be overwritten
    for name, array in arrays.items():
        assert array.shape == (count,) and not array.flags.writeable and not array.flags.owndata
        assert (array == copies[name]).all()
        with pytest.raises(ValueError):
            array[0] = 1
    del churn
    part = arrays["time"][10:20]
    arrays.clear()
    gc.collect()
    assert (part == copies["time"][10:20]).all()


def test_pandas_does_not_copy():
    """The frame's columns are the trace's own memory; events are numbered and named."""
    trace = traced()
    frame = trace.to_pandas()
    assert np.shares_memory(frame["time"].to_numpy(), trace["time"])
    assert frame.index.name == "event" and len(frame) == len(trace)
    assert set(frame["what"]) >= {"send", "receive", "role", "crash"}
    assert (frame["time"].diff().dropna() >= 0).all()
    leaders = frame[(frame["what"] == "role") & (frame["detail"] == 4)]
    assert len(leaders) >= 2


def test_structured_copy_and_memoryviews():
    """to_numpy is one array of records; column() needs no NumPy."""
    trace = traced()
    records = trace.to_numpy()
    assert records.shape == (len(trace),) and records["kind"][3] == trace["kind"][3]
    view = trace.column("term")
    assert view.readonly and view.format == "Q" and list(view) == trace["term"].tolist()


def test_works_without_numpy():
    """Columns are memoryviews where NumPy cannot be imported."""
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "import quorate as q\n"
        "with q.Cluster('raft') as c: c.run(1); t = c.trace\n"
        "v = t['time']; assert type(v) is memoryview and v.readonly and len(v) == len(t) > 10\n"
        "assert v[-1] <= 10**9\n"
        "assert 'numpy' not in [m for m in sys.modules if sys.modules[m]]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_takes_no_optional_packages():
    """NumPy, pandas, matplotlib and tqdm are imported where they are used."""
    script = (
        "import sys, quorate\n"
        "print(sorted({'numpy', 'pandas', 'matplotlib', 'tqdm', 'IPython'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_lines_and_names():
    """A line an event; kinds and messages have names."""
    trace = traced()
    lines = list(trace.lines(0, 20))
    assert len(lines) == 20 and all(lines)
    assert trace.line(-1)
    with pytest.raises(IndexError):
        trace.line(len(trace))
    assert trace.kinds[1] == "send" and trace.kinds[19] == "commit"
    assert len(set(trace.messages.values())) == len(trace.messages) > 3


def test_picture():
    """SVG around the last election, or around an event; an event that was not kept is refused."""
    trace = traced()
    assert trace._repr_svg_().lstrip().startswith("<svg") and trace.svg(100) != trace.svg()
    with q.Cluster("raft", record="last", record_last=100) as c:
        c.run(5)
        with pytest.raises(q.NotFoundError, match="not recorded"):
            c.trace.svg(0)
    with q.Cluster("raft", record="none") as c:
        c.run(1)
        assert len(c.trace) == 0 and c.trace._repr_html_()
        assert c.trace["time"].shape == (0,)
