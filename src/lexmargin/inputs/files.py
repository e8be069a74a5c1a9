"""Files as users name them: regular ones are read up to a limit, and replaced whole or not at all.

A FIFO, a device or a folder is refused before anything is read from it. What is written is written
beside its file, flushed to the disk, and renamed: after a crash or on a full disk the old file is
there, or the new one, and never a part of either. What a killed process leaves of its writing has a
name of ours and no lock any more; it is swept when its folder is made ready.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from lexmargin.errors import BadInputError, LexmarginError

__all__ = ["make_folder", "opened", "read_file", "sweep", "write_file"]

# Opening a FIFO for reading waits for a writer, unless told not to; regular files do not mind.
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_MIB: Final = 2**20
"""Bytes read at a time beyond the size a file had: any block does."""
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
_DRAFT: Final = re.compile(r"\.lexmargin-[0-9a-f]{16}\.tmp")


@contextmanager
def opened(
    path: str | Path,
    error: type[LexmarginError] = BadInputError,
    advice: str = "Give the path of a file.",
) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Args:
        path: the file.
        error: what is raised, in the words of the caller's trade.
        advice: said where the path names no regular file.

    Raises:
        LexmarginError: of the kind ``error``: missing, a folder, a FIFO, a device, or unreadable.
    """
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise error(f"There is no file {path}.", advice) from None
    except (OSError, ValueError) as failure:
        raise _unreadable(path, failure, error) from failure
    found = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(found):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(found) else "not a regular file"
        raise error(f"{path} is {what}.", advice)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            yield stream
        except OSError as failure:
            raise _unreadable(path, failure, error) from failure


def read_file(
    path: str | Path,
    most: int,
    error: type[LexmarginError] = BadInputError,
    advice: str = "Give the path of a file.",
    smaller: str = "Give a smaller file.",
) -> bytes:
    """Return the bytes of a regular file of at most ``most`` bytes.

    Args:
        path, error, advice: as for :func:`opened`.
        most: limit in bytes; nothing is read from a larger file.
        smaller: said where the file is larger.

    Raises:
        LexmarginError: of the kind ``error``, as :func:`opened`, or too large.
    """
    with opened(path, error, advice) as stream:
        size = os.fstat(stream.fileno()).st_size
        # As much as there is, not as much as there may be: the buffer is made first. A file may
        # grow while it is read.
        content = stream.read(size + 1) if size <= most else b""
        while size < len(content) <= most and (more := stream.read(_MIB)):
            content += more
        if size > most or len(content) > most:
            raise error(f"{path} has {max(size, len(content))} bytes, more than {most}.", smaller)
        return content


def _unreadable(
    path: str | Path, failure: Exception, error: type[LexmarginError]
) -> LexmarginError:
    return error(
        f"{path} cannot be read: {_reason(failure)}.", "Check the path and the permissions."
    )


def _reason(failure: Exception) -> str:
    return str(getattr(failure, "strerror", None) or failure)


def write_file(
    path: str | Path,
    content: bytes | str,
    error: type[LexmarginError] = BadInputError,
    advice: str = "Name another file.",
    *,
    durable: bool = True,
) -> None:
    """Replace a file in one step, durably: all of it is there after a crash, or the old one.

    Args:
        path: the file; a link is followed, and stays a link.
        content: bytes, or text that is written as UTF-8.
        error: what is raised.
        advice: what else to do than writing there.
        durable: wait until the disk has it; not needed for files that do not outlive the process.

    Raises:
        LexmarginError: of the kind ``error``: a folder, a FIFO, a device, no permission, no space.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        target = Path(os.path.realpath(path))
        _replace(target, data, durable)
        if durable:
            _sync_folder(target.parent)
    except (OSError, ValueError) as failure:
        raise error(f"{path} cannot be written: {_reason(failure)}.", advice) from failure


def _replace(target: Path, data: bytes, durable: bool) -> None:
    mode = _mode(target)
    draft, descriptor = _drafted(target.parent)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            if mode is not None:
                os.chmod(draft, mode)
            sink.write(data)
            sink.flush()
            if durable:
                os.fsync(sink.fileno())
            # Closing it would give up the lock.
            os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _drafted(folder: Path) -> tuple[Path, int]:
    """Return a new file with a name of ours, open and locked for as long as it is open."""
    while True:
        draft = folder / f".lexmargin-{secrets.token_hex(8)}.tmp"
        descriptor = os.open(draft, _CREATE, 0o666)
        # Without locks nothing is swept here.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        # It was swept before it was locked.
        os.close(descriptor)


def sweep(folder: str | Path) -> None:
    """Remove what killed processes have left of their writing in a folder.

    What another process is writing now is locked, and stays.
    """
    with suppress(OSError):
        for name in os.listdir(folder):
            if _DRAFT.fullmatch(name):
                with suppress(OSError):
                    _remove_if_stale(Path(folder, name))


def _remove_if_stale(draft: Path) -> None:
    descriptor = os.open(draft, _READ | getattr(os, "O_NOFOLLOW", 0))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have got its name since: then there is nothing to remove.
        os.unlink(draft)
    finally:
        os.close(descriptor)


def _mode(target: Path) -> int | None:
    """Return the permissions of the file that is replaced, None where there is none yet.

    A rename asks for no permission on the file itself, and would put a file in a device's place.
    """
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise OSError("it is a folder")
    if not stat.S_ISREG(found):
        raise OSError("it is not a regular file")
    if not os.access(target, os.W_OK):
        raise PermissionError("it is read-only")
    return stat.S_IMODE(found)


def make_folder(
    path: str | Path,
    error: type[LexmarginError] = BadInputError,
    advice: str = "Choose a folder that can be written to.",
) -> None:
    """Make a folder and those above it, where they are not there, and :func:`sweep` it.

    Raises:
        LexmarginError: of the kind ``error``: a file in its place, no permission, no space.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as failure:
        raise error(f"{path} cannot be made: {_reason(failure)}.", advice) from failure
    sweep(path)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too; some file systems cannot."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
