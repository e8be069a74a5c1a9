"""Files are read only where they are regular, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lexmargin as lm
from lexmargin.cli import main as cli
from lexmargin.compare import Serial
from lexmargin.errors import BadInputError, LexmarginError, ReceiptError
from lexmargin.inputs.files import make_folder, opened, read_file, sweep, write_file
from process_stubs import fresh, leftovers

GOOD = "linear/norms-two-points-l2"


@contextlib.contextmanager
def small_files(most: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``most`` bytes: writing fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)


def test_a_file_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write_file(file, "ä")
    assert file.read_bytes() == b"\xc3\xa4"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    file.chmod(0o640)
    write_file(file, b"b")
    assert file.read_bytes() == b"b" and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_file(tmp_path / "link", b"1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"1"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "good"
    write_file(file, b"good")
    with small_files(1024), pytest.raises(BadInputError, match="cannot be written"):
        write_file(file, bytes(5000))
    assert file.read_bytes() == b"good" and len(list(tmp_path.iterdir())) == 1


def test_a_mounted_disk_without_space_leaves_the_old_file(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting needs rights that this user lacks")
    try:
        write_file(tmp_path / "good", b"good")
        with pytest.raises(BadInputError, match="No space left"):
            write_file(tmp_path / "good", bytes(200_000))
        assert (tmp_path / "good").read_bytes() == b"good"
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def not_regular(folder: Path) -> list[str]:
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    (folder / "to-zero").symlink_to("/dev/zero")
    return [str(folder / "fifo"), str(folder / "folder"), str(folder / "to-zero"), "/dev/zero"]


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    for path in [*not_regular(tmp_path), str(tmp_path / "absent"), "a\0b", "x" * 5000]:
        began = time.monotonic()
        for error in (BadInputError, ReceiptError):
            with pytest.raises(error), opened(path, error):
                pytest.fail(f"{path[:20]} was opened")
        if "absent" not in path:
            with pytest.raises(BadInputError, match="cannot be written"):
                write_file(path, b"1")
        assert time.monotonic() - began < 10.0
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/zero").stat().st_mode)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(BadInputError, match="5 bytes, more than 4"):
        read_file(tmp_path / "a", 4)
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(BadInputError, match="more than 10"):
        read_file(tmp_path / "sparse", 10)


def test_every_reader_refuses_what_would_hang(tmp_path: Path) -> None:
    """Problem, samples, θ, weights, receipt: each answered at once, by name."""
    from lexmargin.data.state_files import read_blocks, read_state
    from lexmargin.judge.receipts.receipt import read_receipt
    from lexmargin.judge.trained.network_state import network_weights

    network = lm.load("networks/diagonal-2")
    for path in not_regular(tmp_path)[:3]:
        for number, read in enumerate(
            (
                lm.load_csv, lm.load_npz, read_blocks, read_state, read_receipt,
                lambda path: lm.load(Path(path)), lambda path: network_weights(network, path),
            )
        ):  # fmt: skip
            with pytest.raises(LexmarginError):
                pytest.fail(f"reader {number} returned {read(path)!r} from {path}")


def command(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_commands_keep_the_old_file_on_a_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, target = str(tmp_path / "run"), tmp_path / "target"
    lm.compare([GOOD], ["active-set"], out=run, executor=Serial())
    for words in (
        ["certify", GOOD, "--receipt"],
        ["report", run, "--html"],
        ["report", run, "--csv"],
    ):
        assert command([*words, str(target)]) in (0, 1)
        good = target.read_bytes()
        assert len(good) > 100, words
        capsys.readouterr()
        with small_files(100):
            assert command([*words, str(target)]) == 2
        err = capsys.readouterr().err
        assert "cannot be written" in err and err.count("\n") == 1
        assert target.read_bytes() == good and not list(tmp_path.glob(".*"))


def test_figures_pages_and_models_keep_the_old_file(tmp_path: Path) -> None:
    from lexmargin.plots import save, style

    def figure():  # type: ignore[no-untyped-def]
        with style() as plt:
            drawn, axes = plt.subplots()
            axes.plot([1, 2])
            return drawn

    model = lm.load("networks/diagonal-2").program()
    for attempt in ("first", "full"):
        full = attempt == "full"
        if full:
            before = {path: path.read_bytes() for path in tmp_path.iterdir()}
            assert {path.suffix for path in before} == {".png", ".svg", ".nl", ".row", ".col"}
        with small_files(100) if full else contextlib.nullcontext():
            for write in (
                lambda: save(figure(), tmp_path, "f"),
                lambda: model.to_nl(tmp_path / "m.nl"),
            ):
                with pytest.raises(BadInputError) if full else contextlib.nullcontext():
                    write()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_high_limit_costs_nothing(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "a").write_bytes(b"12345")
    tracemalloc.start()
    assert read_file(tmp_path / "a", 2**40) == b"12345"
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert read_file("/proc/self/status", 2**20).startswith(b"Name:")


def test_no_other_code_writes_files() -> None:
    """One function replaces files; whoever writes by other means may leave half of one."""
    other = (
        "write_text(",
        "write_bytes(",
        "mkstemp(",
        '.open("w',
        "np.save",
        "NamedTemporaryFile(",
    )
    for file in Path(lm.__file__).parent.rglob("*.py"):
        text = file.read_text("utf-8")
        # What is said to users about saving is text in quotes.
        lines = [line for line in text.splitlines() if '"' not in line or ".open(" in line]
        assert not [line for line in lines if any(word in line for word in other)], file


KILLED = """
import os, signal, sys
from pathlib import Path
from lexmargin.inputs.files import write_file
os.replace = lambda draft, target: os.kill(os.getpid(), signal.SIGKILL)
write_file(Path(sys.argv[1], "a"), "new")
"""


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    assert fresh(KILLED, str(tmp_path), folder=tmp_path).returncode == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 2
    make_folder(tmp_path)
    assert leftovers(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"


def test_what_is_written_now_and_what_is_not_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swept just before it gets its name, a file is there all the same."""
    others = (".lexmargin-0.tmp", "lexmargin-0123456789abcdef.tmp", ".lexmargin-0123456789abcdef.t")
    for name in others:
        (tmp_path / name).touch()
    folder, replaced = tmp_path / ".lexmargin-0123456789abcdef.tmp", os.replace
    folder.mkdir()

    def late(draft: Path, target: Path) -> None:
        sweep(tmp_path)
        replaced(draft, target)

    monkeypatch.setattr(os, "replace", late)
    write_file(tmp_path / "a", "new")
    assert leftovers(tmp_path) == sorted(["a", folder.name, *others])


def test_a_draft_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(descriptor)
            sweep(tmp_path)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_file(tmp_path / "a", "new")
    assert swept and leftovers(tmp_path) == ["a"]
