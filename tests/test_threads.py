"""Solving beside others: in threads, notebooks, joblib, forks and spawned children."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from process_stubs import fresh

TIMES = [pytest.param(4, id="4-times"), pytest.param(100, id="100-times", marks=pytest.mark.long)]

PRELUDE = """
import os, sys, threading, warnings
import numpy as np
import lexmargin as lm
from lexmargin.predictors import DiagonalNetwork, Linear
data = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
def once(kind):
    "A convex solver that is captured, one that prints from C, and the nonlinear route."
    predictor, solver = ((Linear(), "clarabel"), (Linear(), "scs"),
                         (DiagonalNetwork(2), "ipopt-casadi"))[kind % 3]
    solution = lm.solve(lm.HardMargin(predictor, data), solver=solver, starts=1)
    assert solution.certificate.certified, solution
    return solution.certificate.verdict.value
for kind in range(3):
    once(kind)  # Packages add their filters when they are imported.
def state():
    links = [os.readlink(f"/proc/self/fd/{n}") for n in (1, 2)] if os.path.isdir("/proc") else []
    return links, id(sys.stdout), id(sys.stderr), list(warnings.filters), warnings.showwarning
"""

THREADS = (
    PRELUDE
    + """
times = int(sys.argv[1])
before, failures = state(), []
def work(kind):
    try:
        for _ in range(times):
            once(kind)
            sys.stdout.write(f"printed by {kind}\\n")  # print writes word by word
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=work, args=(kind,)) for kind in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failures, failures
assert state() == before, (state(), before)
assert not sys.stdout.closed
print("end")
"""
)


@pytest.mark.parametrize("times", TIMES)
def test_threads_leave_the_process_as_it_was(tmp_path: Path, times: int) -> None:
    done = fresh(THREADS, str(times), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    # Nothing that a thread prints is lost, and no solver is heard.
    expected = ["end", *(f"printed by {kind}" for kind in range(3) for _ in range(times))]
    assert sorted(words) == sorted(expected)
    assert done.stderr == ""


PRINTING = """
import os, sys, threading
from lexmargin.backends.capture import captured
inside, said = threading.Event(), threading.Event()
def other():
    inside.wait()
    print("from another thread")
    print("and its error", file=sys.stderr)
    said.set()
threading.Thread(target=other).start()
with captured() as output:
    kept = sys.stdout
    print("kept")
    inside.set()
    said.wait()
print("after", file=kept)
assert output.text == "kept\\n", output.text
"""


def test_what_other_threads_print_is_not_swallowed(tmp_path: Path) -> None:
    done = fresh(PRINTING, folder=tmp_path)
    assert (done.stdout, done.stderr) == ("from another thread\nafter\n", "and its error\n")


FORKED = """
import os, sys, threading
from lexmargin.backends.capture import captured
inside, gone = threading.Event(), threading.Event()
def other():
    with captured():
        inside.set()
        gone.wait()
thread = threading.Thread(target=other)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    print("child", flush=True)
    os.write(1, b"descriptor\\n")
    with captured() as output:
        print("kept")
    os._exit(output.text != "kept\\n")
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
gone.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_is_silenced_speaks_and_can_solve(tmp_path: Path) -> None:
    done = fresh(FORKED, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "child\ndescriptor\n"), done.stderr


NOTEBOOK = (
    PRELUDE
    + """
class OutStream:
    "As a notebook's: no descriptor, a thread of its own sends what is written."
    encoding, closed = "utf-8", False
    def __init__(self): self.parts = []
    def write(self, text): self.parts.append(text); return len(text)
    def flush(self): pass
    def isatty(self): return False
real, sys.stdout = sys.stdout, OutStream()
mine = sys.stdout
for kind in range(int(sys.argv[1])):
    once(kind)
    print("cell", kind)
said = "".join(f"cell {kind}\\n" for kind in range(int(sys.argv[1])))
assert sys.stdout is mine and "".join(mine.parts) == said, mine.parts
print("end", file=real)
"""
)


@pytest.mark.long
@pytest.mark.parametrize("times", [100])
def test_streams_without_a_descriptor_are_kept(tmp_path: Path, times: int) -> None:
    done = fresh(NOTEBOOK, str(times), folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


KERNEL = """
import sys
import nbformat
from nbclient import NotebookClient
cell = sys.argv[2] + '''
import sys
threads = [threading.Thread(target=once, args=(kind,)) for kind in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("cell")
'''
book = nbformat.v4.new_notebook(cells=[
    nbformat.v4.new_code_cell(cell) for _ in range(int(sys.argv[1]))])
NotebookClient(book, timeout=600, kernel_name="python3").execute()
for cell in book.cells:
    assert [o.get("text") for o in cell.outputs] == ["cell\\n"], cell.outputs
print("end")
"""


@pytest.mark.backend("nbclient", "ipykernel")
@pytest.mark.long
@pytest.mark.parametrize("times", [100])
def test_a_notebook_shows_what_its_cells_print(tmp_path: Path, times: int) -> None:
    done = fresh(KERNEL, str(times), PRELUDE, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


JOBLIB = (
    PRELUDE
    + """
from joblib import Parallel, delayed
times, before = int(sys.argv[1]), state()
for backend in sys.argv[2:]:
    found = Parallel(n_jobs=3, backend=backend)(delayed(once)(kind) for kind in range(times))
    assert len(found) == times
assert state() == before
print("end")
"""
)


@pytest.mark.backend("joblib")
@pytest.mark.long
@pytest.mark.parametrize("times", [100])
def test_joblib_solves_in_threads_and_in_processes(tmp_path: Path, times: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(JOBLIB, encoding="utf-8")
    done = fresh(script, str(times), "threading", "loky", folder=tmp_path, flags=())
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


SPAWNED = (
    PRELUDE
    + """
if __name__ == "__main__":
    import multiprocessing
    for method in ("spawn", "fork") if sys.platform == "linux" else ("spawn",):
        # A fork of a process that has solved in a thread: the locks must not be stuck.
        thread = threading.Thread(target=once, args=(0,))
        thread.start()
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert len(pool.map(once, range(int(sys.argv[1])))) == int(sys.argv[1])
        thread.join()
    print("end")
"""
)


@pytest.mark.long
@pytest.mark.parametrize("times", [100])
def test_spawned_and_forked_children_solve(tmp_path: Path, times: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SPAWNED, encoding="utf-8")
    done = fresh(script, str(times), folder=tmp_path, flags=("-W", "ignore"))
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


DASK = (
    PRELUDE
    + """
if __name__ == "__main__":
    import distributed
    times = int(sys.argv[1])
    options = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=3, **options) as cluster:
        with distributed.Client(cluster) as client:
            found = client.gather(client.map(once, range(times), pure=False))
    assert len(found) == times
    print("end")
"""
)


@pytest.mark.backend("distributed")
@pytest.mark.long
@pytest.mark.parametrize("times", [100])
def test_threads_of_a_dask_worker_solve(tmp_path: Path, times: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(DASK, encoding="utf-8")
    done = fresh(script, str(times), folder=tmp_path, flags=())
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
