"""A user who owns a spool, and puts links and other things into it for whoever works there with more
rights: root with the tools. Nothing outside of the spool is read, written, made or given away."""

import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

from harness.bridge import bridge_binary
from harness.messages import pictures, undecodable
from harness.stack import Stack
from harness.waiting import wait_until

OWNER = 54_321
PLACES = [
    "lock", "records/lock.mdb", "records/data.mdb", "records/made", "records/held-back", "records",
    "records.fresh", "set-aside", "dead-letters", "dead-letters/lock.mdb", "dead-letters/data.mdb",
    "dead-letters.fresh", "control",
]  # fmt: skip
TOOLS = [
    ["spool", "stat"], ["spool", "ls"], ["spool", "verify"], ["spool", "repair"],
    ["dead-letter", "replay", "--all"], ["dead-letter", "drop", "--all", "--yes"],
]  # fmt: skip
DAMAGE = b"\xff" * 8192

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the attack is on root")


@pytest.fixture(scope="module")
def grown_spool(tmp_path_factory, minio, shared_store):
    """A spool of root's with messages and dead letters, to be copied."""
    stack = Stack(tmp_path_factory.mktemp("grown"), minio, store=shared_store)
    stack.bridge.settings |= {"MINIO_URL": "127.0.0.1:9"}  # nobody listens: what comes waits
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(10), undecodable(), undecodable())
    stack.bridge.wait_until_acknowledged(12)
    wait_until(lambda: stack.bridge.metric("dead_letters") == 2, 60, "they are dead letters")
    stack.bridge.stop()
    stack.close()
    stack.broker.end()
    return stack.bridge.spool_dir


class Attacked:
    """A spool of another user, and root's files that are to be harmed."""

    def __init__(self, tmp_path, grown):
        tmp_path.chmod(0o755)
        self.spool = tmp_path / "spool"
        shutil.copytree(grown, self.spool, ignore=shutil.ignore_patterns("control"))
        give(self.spool)
        self.roots = tmp_path / "roots"
        self.roots.mkdir(mode=0o700)
        (self.roots / "file").write_bytes(b"root's own" * 1000)
        (self.roots / "folder").mkdir()
        (self.roots / "folder" / "data.mdb").write_bytes(b"root's own")
        self.before = self.state()

    def state(self):
        return {
            str(path.relative_to(self.roots)): (
                path.stat().st_mode, path.stat().st_uid, path.stat().st_size,
                path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None,
            )
            for path in [self.roots, *self.roots.rglob("*")]
        }  # fmt: skip

    def run(self, *tool, owner=False):
        rights = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
        return subprocess.run(
            [*(rights if owner else []), bridge_binary(), *tool, "--spool-dir", self.spool],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True, env={}, cwd="/",
        )  # fmt: skip

    def plant(self, place, make):
        target = self.spool / place
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        elif os.path.lexists(target):
            target.unlink()
        make(target)
        if target.lstat().st_nlink == 1:
            os.lchown(target, OWNER, OWNER)

    def damage(self):
        """So that repair writes all that it ever writes."""
        for name in ("records", "dead-letters"):
            path = self.spool / name / "data.mdb"
            if path.is_file() and not path.is_symlink() and path.stat().st_size > len(DAMAGE):
                with open(path, "r+b") as file:
                    file.seek(2 * 4096)
                    file.write(DAMAGE)


def give(folder):
    for path in [folder, *folder.rglob("*")]:
        os.lchown(path, OWNER, OWNER)


@pytest.fixture
def attacked(grown_spool):
    """In a folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="m2b-links-") as folder:
        yield Attacked(pathlib.Path(folder), grown_spool)


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("place", PLACES)
def test_root_s_tools_follow_no_link(attacked, place, damaged):
    if damaged:
        attacked.damage()
    for victim in ["file", "folder", "new"]:
        attacked.plant(place, lambda link, v=victim: link.symlink_to(attacked.roots / v))
        for tool in TOOLS:
            done = attacked.run(*tool)
            assert attacked.state() == attacked.before, (tool, victim, done)
        assert not (attacked.roots / "new").exists()
        refused = attacked.run("spool", "repair")
        # The control socket is no affair of repair's, what damage made unusable is moved away, and
        # room that is held back is made anew.
        if place not in ("control", "records/held-back") and (attacked.spool / place).is_symlink():
            assert refused.returncode != 0, refused
            assert f"{attacked.spool}/{place} is a symbolic link" in refused.stderr
        # Nothing in there became root's, so that the owner could no longer use it.
        assert all(path.lstat().st_uid == OWNER for path in attacked.spool.rglob("*"))


@pytest.mark.parametrize("place", [p for p in PLACES if p != "control" and "held" not in p])
def test_the_daemon_names_a_link_and_does_not_start(attacked, place):
    attacked.plant(place, lambda link: link.symlink_to(attacked.roots / "file"))
    done = subprocess.run(
        [bridge_binary()],
        env={
            "SPOOL_DIR": attacked.spool, "BROKER_URL": "127.0.0.1", "BROKER_PORT": "9", "TOPIC": "t",
            "MINIO_URL": "127.0.0.1:9", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b" * 8,
            "BUCKET_NAME": "bucket", "STATUS_ADDRESS": "",
        },
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 74 and f"{place} is a symbolic link" in done.stderr, done
    assert attacked.state() == attacked.before


@pytest.mark.parametrize("place", ["lock", "records/lock.mdb", "records/data.mdb", "records/made"])
def test_a_second_name_of_root_s_file_a_fifo_and_a_folder_are_refused_too(attacked, place):
    victim = attacked.roots / "file"
    kinds = {
        "hard links": lambda path: os.link(victim, path),
        "a FIFO": os.mkfifo,
        "a folder": lambda path: path.mkdir(),
    }
    for kind, make in kinds.items():
        attacked.plant(place, make)
        for tool in TOOLS:
            done = attacked.run(*tool)  # within its time: a FIFO is not waited for
            assert attacked.state() == attacked.before, (tool, done)
        refused = attacked.run("spool", "repair")
        assert refused.returncode != 0
        assert kind in refused.stderr and str(attacked.spool / place) in refused.stderr, refused


def test_links_that_come_and_go_while_root_works_are_not_followed(attacked):
    """Whatever is looked at is not what is opened later: the owner wins every such race at times."""
    attacked.damage()
    racer = subprocess.Popen(
        [
            "setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--pdeathsig", "KILL",
            sys.executable, "-c",
            "import os, sys\n"
            "spool, target = sys.argv[1:]\n"
            "names = ['lock', 'records/lock.mdb', 'records/made', 'records', 'set-aside', 'records.fresh']\n"
            "print(flush=True)\n"
            "while True:\n"
            "  for name in names:\n"
            "    path = f'{spool}/{name}'\n"
            "    try:\n"
            "      os.rename(path, path + '.real'); os.symlink(target, path)\n"
            "      os.unlink(path); os.rename(path + '.real', path)\n"
            "    except OSError:\n"
            "      pass\n",
            attacked.spool, attacked.roots / "file",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert racer.stdout.readline() == b"\n", "the owner does his part"
        for _ in range(40):
            attacked.run("spool", "repair")
            assert attacked.state() == attacked.before
    finally:
        racer.kill()
        racer.wait()


def test_root_s_tools_work_for_the_owner_of_the_spool(attacked):
    """The right thing still works, through a link to the spool as well, and leaves it his."""
    entrance = attacked.spool.parent / "entrance"
    entrance.symlink_to(attacked.spool)
    attacked.spool, real = entrance, attacked.spool
    listed = attacked.run("spool", "ls")
    assert listed.returncode == 0 and listed.stdout.count("\n") == 11, listed
    for tool in (["spool", "verify"], ["dead-letter", "replay", "1", "--all"], ["spool", "repair"]):
        done = attacked.run(*tool)
        assert done.returncode == 0 or "--all" in tool, done
    assert {path.lstat().st_uid for path in real.rglob("*")} == {OWNER}
    exported = real.parent / "exported"
    done = attacked.run("spool", "export", exported)
    assert done.returncode == 0, done
    assert {path.lstat().st_uid for path in exported.rglob("*")} == {0}
    verified = attacked.run("spool", "verify", owner=True)
    assert verified.returncode == 0, verified


def test_root_reaches_a_spool_that_its_owner_cannot_reach(attacked):
    """As a container's volume below /var/lib/docker."""
    attacked.spool.parent.chmod(0o700)
    for tool in (["spool", "ls"], ["spool", "verify"], ["spool", "repair"]):
        done = attacked.run(*tool)
        assert done.returncode == 0, done
    attacked.plant("records/made", lambda link: link.symlink_to(attacked.roots / "file"))
    refused = attacked.run("spool", "repair")
    assert f"{attacked.spool}/records/made is a symbolic link" in refused.stderr, refused


def test_root_without_the_right_to_change_users_is_told_what_to_do(attacked):
    done = subprocess.run(
        ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid",
         bridge_binary(), "spool", "repair", "--spool-dir", attacked.spool],
        capture_output=True, text=True, timeout=60, env={},
    )  # fmt: skip
    assert done.returncode != 0
    assert f"--reuid={OWNER}" in done.stderr, done


def test_an_export_into_another_user_s_folder_follows_no_link(attacked):
    folder = attacked.spool.parent / "export"
    folder.symlink_to(attacked.roots / "empty")
    (attacked.roots / "empty").mkdir()
    done = attacked.run("spool", "export", folder)
    assert done.returncode != 0 and "is a link" in done.stderr, done
    assert not list((attacked.roots / "empty").iterdir())


def test_a_tool_believes_no_stranger_on_the_control_socket(attacked):
    """A spool that seems to be in use, and somebody else's socket where the daemon's would be."""
    os.chown(attacked.spool, OWNER, OWNER)
    path = attacked.spool / "control"
    stranger = subprocess.Popen(
        [
            "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--pdeathsig", "KILL",
            sys.executable, "-c",
            "import os, socket, sys\n"
            "s = socket.socket(fileno=0)\n"
            "s.listen(); print(flush=True)\n"
            "while True:\n"
            "  c, _ = s.accept(); c.recv(4096)\n"
            "  c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n{\"intake\": \"x\"}'); c.close()\n",
        ],
        stdin=bound(path), stdout=subprocess.PIPE,
    )  # fmt: skip
    lock = open(attacked.spool / "lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert stranger.stdout.readline() == b"\n"
        for owner in (False, True):
            done = attacked.run("spool", "stat", owner=owner)
            assert done.returncode != 0, done
            assert "does not answer on its control socket" in done.stderr, done
    finally:
        lock.close()
        stranger.kill()
        stranger.wait()


def bound(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    os.chown(path, OWNER, OWNER)
    return listener
