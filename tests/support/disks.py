"""Small disks that can be filled: a tmpfs where the machine allows one."""

from __future__ import annotations

import errno
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class SmallDisk:
    """A file system of a few megabytes at `folder`; a context manager. Raises OSError where none can be mounted."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise OSError(errno.EPERM, f"cannot mount a small disk: {done.stderr.strip()}")

    def fill(self, share: float = 1.0) -> None:
        """Write until that share of the disk is used; 1 is to the last byte."""
        piece = b"\0" * 65_536
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while share >= 1 or self.used() < share:
                file.write(piece)

    def empty(self) -> None:
        """Take away what `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    def used(self) -> float:
        """0 to 1."""
        found = shutil.disk_usage(self.folder)
        return 1 - found.free / found.total

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)


def can_mount(folder: Path) -> bool:
    """Whether a small disk can be had here."""
    try:
        with SmallDisk(folder / "probe", 1):
            return True
    except (OSError, FileNotFoundError):
        return False
