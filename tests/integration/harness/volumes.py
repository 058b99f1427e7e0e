"""Disks with faults: small file systems that only one process sees, and slow ones."""

import os
import pathlib
import shlex
import shutil
import subprocess

import pytest


def require_root():
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no mount namespaces")


def on_tmpfs(folder, size):
    """A command prefix: what it runs sees a tmpfs of that size in place of the folder."""
    require_root()
    folder.mkdir(parents=True, exist_ok=True)
    return _within_namespace(f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(folder))}")


def grow_tmpfs(pid, folder, size):
    """Gives the process's tmpfs another size while it runs."""
    command = ["nsenter", "-t", str(pid), "-m", "mount", "-o", f"remount,size={size}", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def on_ext4(folder, image, size):
    """As on_tmpfs(), with a real file system in an image file, which survives the process."""
    require_root()
    folder.mkdir(parents=True, exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
    probe = f"mount -o loop {shlex.quote(str(image))} {shlex.quote(str(folder))}"
    if subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no loop mounts")
    return _within_namespace(probe)


def instead_of(path, folder):
    """A command prefix: what it runs sees the folder in place of the path."""
    require_root()
    folder.mkdir(parents=True, exist_ok=True)
    return _within_namespace(f"mount --bind {shlex.quote(str(folder))} {shlex.quote(str(path))}")


def seen_by(pid, path):
    """A path as the process sees it, through its mounts."""
    return pathlib.Path(f"/proc/{pid}/root{path}")


def _within_namespace(mount):
    # exec keeps the pid, so that signals reach the daemon itself.
    return ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def free_bytes(path):
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def fill(path):
    """Takes all the space that is left, to the last block."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\xaa" * size):
                    pass
            except OSError:
                pass


def with_slow_disk(seconds):
    """A command prefix: what it runs waits so long at each fdatasync, as with a bad SD card."""
    return _under_strace("fdatasync", f"delay_enter={int(seconds * 1_000_000)}")


def with_failing_disk(syscall, first, last):
    """A command prefix: in each thread, these calls of the syscall (counted from 1) fail with EIO."""
    return _under_strace(syscall, f"error=EIO:when={first}..{last}")


def _under_strace(syscall, injection):
    if shutil.which("strace") is None:
        pytest.skip("faults of the disk need strace")
    # -D keeps the pid for the daemon.
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}",
            "-e", f"inject={syscall}:{injection}"]  # fmt: skip
