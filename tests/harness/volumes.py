"""Disks with faults: small file systems that only one process sees, slow ones, power cuts."""

import errno
import fcntl
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
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


def with_hosts(file, **addresses):
    """A command prefix: what it runs knows these names, with dots for underscores, each with its
    addresses in that order, and no others."""
    require_root()
    lines = ["127.0.0.1 localhost"]
    for name, each in addresses.items():
        lines += [f"{address} {name.replace('_', '.')}" for address in each]
    file.write_text("\n".join(lines) + "\n")
    return _within_namespace(f"mount --bind {shlex.quote(str(file))} /etc/hosts")


def grow_tmpfs(pid, folder, size):
    """Gives the process's tmpfs another size while it runs."""
    command = ["nsenter", "-t", str(pid), "-m", "mount", "-o", f"remount,size={size}", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def make_ext4(image, size):
    with open(image, "wb") as file:
        file.truncate(size)
    # Not lazily: what the kernel writes later by itself would come between.
    options = ["-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run(["mkfs.ext4", *options, str(image)], check=True, capture_output=True)


def on_ext4(folder, image, size):
    """As on_tmpfs(), with a real file system in an image file, which survives the process."""
    require_root()
    folder.mkdir(parents=True, exist_ok=True)
    make_ext4(image, size)
    probe = f"mount -o loop {shlex.quote(str(image))} {shlex.quote(str(folder))}"
    if subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no loop mounts")
    return _within_namespace(probe)


class LoopDisk:
    """An ext4 in an image file, mounted in a namespace that stays while processes come and go.

    Nobody is needed to end it: the namespace goes with its last process, the mount with the
    namespace, and the loop device with the mount.
    """

    # The journal's own commits, every 5 s by default, would write what a missing sync did not.
    _OPTIONS = "loop,commit=300,data=ordered,errors=remount-ro"
    _SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
    _WITHOUT_FLUSHING_THE_LOG = 2

    def __init__(self, folder, image, size):
        require_root()
        self.folder = folder
        self._image = image
        folder.mkdir(parents=True, exist_ok=True)
        make_ext4(image, size)
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "-m", "sh", "-c",
             'mount -o "$0" "$1" "$2" && echo mounted && exec sleep infinity',
             self._OPTIONS, str(image), str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._holder.stdout.readline() != "mounted\n":
            pytest.skip(f"this machine allows no loop mounts: {self._holder.communicate()[1]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._holder.kill()
        self._holder.communicate()

    @property
    def wrapper(self):
        """A command prefix: what it runs sees the disk in place of the folder."""
        return ["nsenter", "-t", str(self._holder.pid), "-m", "--"]

    @property
    def seen_from_here(self):
        return seen_by(self._holder.pid, self.folder)

    def cut_power(self):
        """From now on nothing is written any more, not even what the kernel still holds."""
        fd = os.open(self.seen_from_here, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, self._SHUTDOWN, struct.pack("I", self._WITHOUT_FLUSHING_THE_LOG))
        except OSError as refused:
            pytest.skip(f"this machine's ext4 cannot be shut down: {refused}")
        finally:
            os.close(fd)
        try:
            (self.seen_from_here / "after-the-cut").touch()
        except OSError as failure:
            assert failure.errno == errno.EIO
        else:
            raise AssertionError("the disk takes files after its power was cut")

    def mount_again(self):
        """What has survived. Nobody may use the disk any more."""
        self._run("umount", str(self.folder))
        self._run("mount", "-o", self._OPTIONS, str(self._image), str(self.folder))

    def break_down(self):
        """As ext4 does when it meets damage: read-only from now on, until it is mounted anew."""
        mounts = pathlib.Path(f"/proc/{self._holder.pid}/mounts").read_text()
        device = re.search(rf"^/dev/(\S+) {re.escape(str(self.folder))} ", mounts, re.M).group(1)
        trigger = pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this machine's ext4 cannot be made to fail")
        trigger.write_text("laboratory")

    def _run(self, *command):
        ended = subprocess.run([*self.wrapper, *command], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


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


def killed_at(syscall, number):
    """A command prefix: SIGKILL at the entry of a thread's call of that number (from 1)."""
    return _under_strace(syscall, f"signal=KILL:when={number}")


class Injection:
    """Faults of system calls in a process that runs already, for as long as the block lasts.

    `faults` are strace's: {"fdatasync": "error=EIO:when=1..3"}, counted for each thread;
    with `only`, of those calls alone that are about that file, or that "socket:[…]".
    """

    def __init__(self, pid, faults, only=None):
        _require_strace()
        self._command = ["strace", "-f", "-p", str(pid), "-o", "/dev/null"]
        if only is not None:
            self._command += ["-P", only]
        self._command += ["-e", f"trace={','.join(faults)}"]
        for syscall, fault in faults.items():
            self._command += ["-e", f"inject={syscall}:{fault}"]

    def __enter__(self):
        self._tracer = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        said = self._tracer.stderr.readline()
        assert "attached" in said, said
        return self

    def __exit__(self, *_):
        self._tracer.send_signal(signal.SIGINT)  # it lets go of the process
        self._tracer.communicate()


def _require_strace():
    if shutil.which("strace") is None:
        pytest.skip("faults of the disk need strace")


def _under_strace(syscall, injection):
    _require_strace()
    # -D keeps the pid for the daemon.
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}",
            "-e", f"inject={syscall}:{injection}"]  # fmt: skip
