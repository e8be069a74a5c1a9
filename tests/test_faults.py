"""Whatever befalls a comparison, no unit of it is lost, doubled or changed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compare_stubs import Killer, contents
from lexmargin.compare import DaskCluster, Executor, Processes, ResultsError, Serial, Store, compare
from lexmargin.compare.comparison import carry_out, read_back
from lexmargin.compare.executors import dask_pass, has_workers
from lexmargin.compare.jobs import Limits, Unit
from lexmargin.compare.pages.reading import sealed
from lexmargin.compare.plan import plan
from lexmargin.errors import LexmarginError
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.progress import Progress, Tick
from lexmargin.processes.nursery import End
from lexmargin.processes.owner import Nursery
from lexmargin.shelf.library import Library
from process_stubs import fresh, paths

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")

LIBRARY = Library()
LONG = pytest.mark.long
PROBLEMS = ["linear/norms-two-points-l2", "linear/norms-two-points-l1"]


def units_of(count: int) -> tuple[Unit, ...]:
    """So many units, each of a moment."""
    return plan(LIBRARY, PROBLEMS, ["clarabel", "highs"], seeds=range(count // 4))


def kept(
    units: tuple[Unit, ...], executor: Executor, folder: Path, progress: Progress | None = None
) -> dict[str, str]:
    table = carry_out(units, executor, Store(folder), LIBRARY, progress)
    assert [row.key for row in table.rows] == [unit.key for unit in units]
    return contents(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """What an undisturbed run writes of so many units."""
    known: dict[int, dict[str, str]] = {}

    def of(count: int) -> dict[str, str]:
        if count not in known:
            folder = tmp_path_factory.mktemp("whole")
            known[count] = kept(units_of(count), Serial(), folder)
        return known[count]

    return of


SENT = [
    pytest.param(signal.SIGKILL, 2, 4, id="SIGKILL-2"),
    pytest.param(signal.SIGSTOP, 2, 4, id="SIGSTOP-2", marks=LONG),
    pytest.param(signal.SIGKILL, 200, 200, id="SIGKILL-200", marks=LONG),
    pytest.param(signal.SIGSTOP, 50, 200, id="SIGSTOP-50", marks=LONG),
]
ROUNDS = 50
"""Comparisons run until all signals are sent; a killer that finds nobody must not go on."""


@pytest.mark.parametrize(("sent", "count", "units"), SENT)
def test_signals_to_any_process_of_ours(
    tmp_path: Path, sent: int, count: int, units: int, whole: Callable[[int], dict[str, str]]
) -> None:
    """Nurseries, from which the others are forked, included."""
    killer = Killer(count, sent, paced=True)
    killer.start()
    try:
        for name in range(ROUNDS):
            folder = tmp_path / str(name)
            assert kept(units_of(units), Processes(2), folder, killer.progress) == whole(units)
            if not killer.left:
                break
    finally:
        killer.end()
    assert not killer.left, f"only {count - killer.left} of {count} were sent"


FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another verdict": lambda record: record | {"verdict": "XGLOBAL"},
    "another verdict, sealed": lambda record: resealed(record, verdict="XGLOBAL"),
    "certified by hand": lambda record: resealed(record, certified=not record["certified"]),
    "a word less": lambda record: record | {"verdict": "KKT"},
    "another claim": lambda record: resealed(record, claim="SURE"),
    "another status": lambda record: resealed(record, ran="DONE"),
    "a margin in words": lambda record: resealed(record, margin="large"),
    "a negative residual": lambda record: resealed(record, stationarity=-1.0),
    "true as a margin": lambda record: resealed(record, margin=True),
    "a direction that is none": lambda record: resealed(record, direction={"x": 1}),
    "nested directions": lambda record: resealed(record, direction=[[1.0]]),
    "the unit of another": lambda record: resealed(record, unit=record["unit"] | {"seed": 99}),
    "no unit": lambda record: {n: v for n, v in record.items() if n != "unit"},
    "no seal": lambda record: {n: v for n, v in record.items() if n != "sha256"},
    "one member more": lambda record: resealed(record, more=1),
    "a list": lambda record: [record],
    "nothing": lambda record: None,
}


def resealed(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return sealed({n: v for n, v in record.items() if n != "sha256"} | changes)


def damages(content: bytes, count: int) -> Iterator[bytes]:
    """Torn, flipped, nested and forged records."""
    chance = random.Random(0)
    record = json.loads(content)
    for forge in FORGERIES.values():
        yield canonical(forge(record))
    yield from (b"", b"[" * 100_000, b"\xff" * 50, b'{"ran": NaN}', content * 2, content[:-1])
    for _ in range(count):
        place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= bit
        yield bytes(flipped)
        yield content[:place]


@pytest.mark.parametrize("count", [5, pytest.param(2000, marks=LONG)])
def test_no_damaged_record_is_believed(tmp_path: Path, count: int) -> None:
    (unit,) = plan(LIBRARY, PROBLEMS[:1], ["clarabel"])
    carry_out([unit], Serial(), Store(tmp_path), LIBRARY)
    store, path = Store(tmp_path), Store(tmp_path).result_path(unit.key)
    content = path.read_bytes()
    assert store.has(unit.key)
    for damaged in damages(content, count):
        path.write_bytes(damaged)
        assert not store.has(unit.key), damaged[:200]
        with pytest.raises(ResultsError):
            read_back(store, LIBRARY)
    path.unlink()
    os.mkfifo(path)
    assert not store.has(unit.key)


def test_damaged_records_are_done_again(
    tmp_path: Path, whole: Callable[[int], dict[str, str]]
) -> None:
    units = units_of(4)
    kept(units, Serial(), tmp_path)
    damaged = list(damages(Store(tmp_path).result_path(units[0].key).read_bytes(), 2))
    for unit, content in zip(units, damaged, strict=False):
        Store(tmp_path).result_path(unit.key).write_bytes(content)
    for name in (tmp_path / "measures").iterdir():
        name.write_bytes(b"[" * 100_000)
    assert len(read_back_failures(tmp_path)) == 1
    assert kept(units, Serial(), tmp_path) == whole(4)


def read_back_failures(folder: Path) -> list[LexmarginError]:
    try:
        read_back(Store(folder), LIBRARY)
    except LexmarginError as error:
        return [error]
    return []


@pytest.mark.parametrize(
    "keys", [["../../etc"], ["0" * 32] * 2, [3], "all", None, ["g" * 32]], ids=str
)
def test_a_comparison_file_that_is_none_is_named(tmp_path: Path, keys: Any) -> None:
    Store(tmp_path).prepare()
    (tmp_path / "comparison.json").write_bytes(canonical({"units": keys}))
    with pytest.raises(ResultsError):
        Store(tmp_path).comparison()


LIMITED = """
import json, resource, shutil, sys
from pathlib import Path
from lexmargin.compare import Serial, Store
from lexmargin.compare.comparison import carry_out
from lexmargin.errors import LexmarginError
from lexmargin.shelf.library import Library
import test_faults
folder, times, expected = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
units, stopped = test_faults.units_of(8), 0
for turn in range(times):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 + 37 * turn, resource.RLIM_INFINITY))
    try:
        carry_out(units, Serial(), Store(folder), Library())
    except LexmarginError as error:
        assert error.code in ("results", "solver-failed"), error
        stopped += 1
    there = test_faults.contents(folder) if (folder / "results").is_dir() else {}
    # What is there is whole and right; no half-written file lies beside it.
    assert there.items() <= expected.items()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert test_faults.kept(units, Serial(), folder) == expected
    shutil.rmtree(folder)
print(stopped)
"""


@LONG
@pytest.mark.parametrize("times", [50])
def test_a_full_disk_stops_a_comparison_which_goes_on_later(
    tmp_path: Path, times: int, whole: Callable[[int], dict[str, str]]
) -> None:
    """At another size of the largest file each time, from before the first to after the last.

    The children of the comparison have the limit of the first time throughout.
    """
    words = (str(tmp_path / "out"), str(times), json.dumps(whole(8)))
    done = fresh(LIMITED, *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) < times


DISKS = """
import json, shutil, subprocess, sys
from pathlib import Path
from lexmargin.compare import Serial, Store
from lexmargin.compare.comparison import carry_out
from lexmargin.errors import LexmarginError
from lexmargin.shelf.library import Library
import test_faults
disk, times, expected = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
units, stopped, folder = test_faults.units_of(8), 0, disk / "out"
def mount(*words):
    subprocess.run(["mount", *words, str(disk)], check=True)
mount("-t", "tmpfs", "tmpfs")
for turn in range(times):
    full, size = turn % 2 == 0, turn // 2 + 1
    mount("-o", f"remount,rw,size={4 * size if full else 1024}k")
    def spoil(done, total, line):
        if not full and done == size % 9:
            mount("-o", "remount,ro")
    spoil(0, 8, "")
    try:
        carry_out(units, Serial(), Store(folder), Library(), spoil)
    except LexmarginError as error:
        assert error.code in ("results", "solver-failed"), error
        stopped += 1
    there = test_faults.contents(folder) if (folder / "results").is_dir() else {}
    assert there.items() <= expected.items()
    mount("-o", "remount,rw,size=1m")
    assert test_faults.kept(units, Serial(), folder) == expected
    shutil.rmtree(folder)
print(stopped)
"""
"""Disks of every size from one page on, and disks that become read-only after so many units."""

OWN_MOUNTS = ("unshare", "-rm")


@LONG
def test_real_disks_that_are_full_or_read_only_stop_a_comparison_which_goes_on_later(
    tmp_path: Path, whole: Callable[[int], dict[str, str]]
) -> None:
    """The temporary files of children lie there too."""
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("this system lets nobody mount a disk of their own")
    words = [*OWN_MOUNTS, sys.executable, "-P", "-c", DISKS, str(disk), "50", json.dumps(whole(8))]
    environment = {**os.environ, "PYTHONPATH": paths(), "TMPDIR": str(disk)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Those with room for all of it, and those that become read-only after the last unit, go on.
    assert 25 <= int(done.stdout) < 50


KILLED = """
import os, signal, sys
from pathlib import Path
from lexmargin.compare import Serial, Store
from lexmargin.compare.comparison import carry_out
from lexmargin.shelf.library import Library
import test_faults
wanted, replaced = sys.argv[2], os.replace
def kill(draft, target):
    if target.name == wanted or target.parent.name == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    replaced(draft, target)
os.replace = kill
carry_out(test_faults.units_of(4), Serial(), Store(Path(sys.argv[1])), Library())
"""


@pytest.mark.parametrize("wanted", ["format.json", pytest.param("results", marks=LONG)])
def test_a_comparison_killed_while_it_writes_goes_on_and_leaves_no_draft(
    tmp_path: Path, wanted: str, whole: Callable[[int], dict[str, str]]
) -> None:
    folder = tmp_path / "out"
    done = fresh(KILLED, str(folder), wanted, folder=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert drafts(folder)
    assert kept(units_of(4), Serial(), folder) == whole(4)
    assert not drafts(folder)


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".lexmargin-")]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=LONG)])
@pytest.mark.parametrize(
    ("task", "payload", "seconds", "end"),
    [
        ("hang", {"tag": "faults"}, 0.5, End.TIME),
        ("devour", {"at_once": True}, 60.0, End.MEMORY),
        pytest.param("devour", {"at_once": False}, 60.0, End.MEMORY, marks=LONG),
        ("fail", {}, 60.0, End.RAISED),
        ("no_room", {}, 60.0, End.NO_ROOM),
    ],
)
def test_hangs_memory_exceptions_and_full_disks_of_a_child(
    nursery: Nursery, task: str, payload: dict[str, Any], seconds: float, end: End, times: int
) -> None:
    """Each ends alone, and the next child of the nursery answers."""
    for _ in range(times):
        reply = nursery.run(f"compare_stubs:{task}", payload, (seconds,), 256)
        assert reply.end is end
        assert nursery.run("compare_stubs:answer", {}, (60.0,), 256).end is End.ANSWERED


def test_a_time_limit_is_that_of_the_unit_not_of_a_suspended_machine(nursery: Nursery) -> None:
    """The nursery and its child are stopped for longer than the limit, and woken together."""
    import threading
    import time

    nursery.run("compare_stubs:answer", {}, (60.0,))

    def suspend() -> None:
        process = nursery._process
        assert process is not None
        subprocess.run(["pkill", "-STOP", "-s", str(process.pid)], check=False)
        time.sleep(3.0)
        subprocess.run(["pkill", "-CONT", "-s", str(process.pid)], check=False)

    thread = threading.Timer(0.3, suspend)
    thread.start()
    reply = nursery.run("compare_stubs:rest", {"seconds": 1.0}, (30.0,))
    thread.join()
    assert reply.end is End.ANSWERED


@pytest.fixture(scope="module")
def units_210() -> tuple[Unit, ...]:
    problems = [*PROBLEMS, "linear/norms-two-points-linf", "networks/diagonal-2"]
    solvers = ["clarabel", "highs", "osqp", "scs", "daqp", "ipopt-casadi", "slsqp"]
    units = plan(LIBRARY, problems, solvers, seeds=range(8), limits=Limits(120.0))[:210]
    assert len(units) == 210
    return units


@pytest.fixture(scope="module")
def serial_210(
    units_210: tuple[Unit, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return kept(units_210, Serial(), tmp_path_factory.mktemp("serial"))


@LONG
@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_210_units_are_the_same_bytes_wherever_they_run(
    tmp_path: Path, units_210: tuple[Unit, ...], serial_210: dict[str, str]
) -> None:
    """One after another, in processes, on dask, and on dask with two workers killed."""
    assert kept(units_210, Processes(2), tmp_path / "processes") == serial_210
    assert kept(units_210, DaskCluster(None, 2), tmp_path / "dask") == serial_210
    killer = Killer(2)
    killer.start()
    try:
        found = kept(units_210, DaskCluster(None, 2), tmp_path / "killed")
    finally:
        killer.end()
    assert found == serial_210 and not killer.left


@LONG
@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("lost", [60, 100])
def test_210_units_are_the_same_bytes_after_the_scheduler_was_lost(
    tmp_path: Path, lost: int, units_210: tuple[Unit, ...], serial_210: dict[str, str]
) -> None:
    """Half-way, with all its workers; then the run is resumed on another cluster."""
    import distributed

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    cluster = distributed.LocalCluster(n_workers=2, silence_logs=50, **options)

    def lose(done: int, total: int, line: str) -> None:
        if done == lost:
            cluster.close()

    workers = DaskCluster(cluster.scheduler_address, 2)
    with pytest.raises(LexmarginError):
        carry_out(units_210, workers, Store(tmp_path), LIBRARY, lose)
    cluster.close()
    assert lost <= len(contents(tmp_path)) < 210
    assert kept(units_210, DaskCluster(None, 2), tmp_path) == serial_210


@pytest.mark.backend("distributed")
def test_an_answer_that_is_lost_after_it_was_done_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import distributed

    class Future:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def result(self) -> str:
            if not self.answer:
                raise distributed.client.FutureCancelledError("unit", "connection-lost")
            return self.answer

    given = iter([Future(""), Future("answer")])
    client = SimpleNamespace(
        submit=lambda *_, **__: next(given),
        loop=None,
        status="running",
        scheduler_info=lambda: {"workers": {"a": 1}},
    )
    monkeypatch.setattr("distributed.as_completed", lambda left, **_: left)
    assert list(dask_pass(client, units_of(8)[:2], None)) == ["answer"]


def test_a_client_that_has_lost_its_scheduler_sees_no_workers() -> None:
    def client(status: str, info: dict[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(status=status, scheduler_info=lambda: info)

    assert has_workers(client("running", {"workers": {"tcp://127.0.0.1:1": {}}}))
    assert not has_workers(client("running", {"workers": {}}))
    # While it looks for its scheduler it knows nothing.
    assert not has_workers(client("connecting", {}))
    with pytest.raises(OSError, match="lost"):
        has_workers(client("closed", {}))


@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_a_local_cluster_listens_on_the_loopback_address_alone(tmp_path: Path) -> None:
    heard: set[str] = set()

    def listen(tick: Tick) -> None:
        from compare_stubs import descendants

        for process in [os.getpid(), *descendants(os.getpid())]:
            heard.update(listening(process))

    executor = DaskCluster(None, 1)
    compare(PROBLEMS[:1], ["clarabel"], executor=executor, progress=listen)
    # A scheduler and a worker, at the least.
    assert len(heard) >= 2 and all(address.startswith("0100007F:") for address in heard), heard


def listening(process: int) -> set[str]:
    """The addresses that a process listens on, as the kernel writes them."""
    sockets = set()
    try:
        for link in Path(f"/proc/{process}/fd").iterdir():
            name = os.readlink(link)
            if name.startswith("socket:["):
                sockets.add(name[8:-1])
    except OSError:
        return set()
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in sockets:
                found.add(parts[1])
    return found
