"""Unlucky environments: what the bridge stands on changes, or was never what it seemed."""

import base64
import os
import shutil
import socket
import subprocess

import pytest

from harness.messages import pictures, undecodable
from harness.waiting import wait_until

KEY = base64.b64encode(b"k" * 32).decode()


def in_namespace(script):
    """A command prefix: the script mounts in a namespace of its own, then the rest runs there."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}; exec "$@"', "sh"]


@pytest.mark.parametrize("broken", ["missing", "a folder", "empty", "no key", "unreadable"])
def test_a_key_file_that_cannot_be_read_at_a_restart_loses_nothing(new_stack, tmp_path, broken):
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    stack = new_stack(own_store=True, SPOOL_KEY_FILE=str(key_file))
    stack.start()
    stack.store.stop()
    stack.publisher.send(*pictures(20), undecodable())
    stack.bridge.wait_until_acknowledged(21)
    stack.bridge.kill()
    key_file.unlink()
    if broken == "a folder":
        key_file.mkdir()
    elif broken == "unreadable":
        key_file.write_text(KEY)
        key_file.chmod(0)
        stack.bridge.wrapper = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        stack.bridge.wrapper += ["--inh-caps=-dac_override,-dac_read_search"]
    elif broken != "missing":
        key_file.write_text("" if broken == "empty" else "not a key")
    stack.bridge.launch()
    assert stack.bridge.wait_for_exit(60) == 78
    assert "SPOOL_KEY_FILE" in stack.bridge.tail()
    if key_file.is_dir():
        key_file.rmdir()
    key_file.touch()
    key_file.chmod(0o600)
    key_file.write_text(KEY)
    stack.store.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=60)


@pytest.mark.parametrize("file_system", ["tmpfs", "overlay"])
def test_a_spool_on_a_file_system_of_a_container(new_stack, tmp_path, file_system):
    place = tmp_path / "disk"
    place.mkdir()
    mounts = {
        "tmpfs": f"mount -t tmpfs tmpfs {place}",
        "overlay": f"mount -t tmpfs tmpfs {place}; cd {place}; mkdir low up work all;"
        f" mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all; cd /",
    }
    if subprocess.run([*in_namespace(mounts[file_system]), "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip(f"{file_system} cannot be mounted here")
    folder = place / "all" if file_system == "overlay" else place
    # Both stay while somebody is in the namespace: the bridge is killed in it and started again.
    holder = subprocess.Popen(
        [*in_namespace(mounts[file_system]), "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline()
        stack = new_stack(own_store=True, SPOOL_DIR=f"{folder}/spool", SPOOL_MIN_FREE_BYTES="0")
        stack.bridge.wrapper = ["nsenter", "--mount", "-t", str(holder.pid)]
        stack.start()
        stack.store.stop()
        stack.publisher.send(*pictures(100), undecodable())
        stack.bridge.wait_until_acknowledged(101)
        stack.bridge.kill()
        stack.store.start()
        stack.bridge.start_subscribed()
        stack.assert_exactly_stored(within=60)
        assert stack.bridge.stop() == 0
    finally:
        holder.kill()
        holder.wait()


def test_a_disk_that_is_taken_away_under_way(new_stack, tmp_path):
    """Lazily unmounted, as by an operator or a device that is gone; the folder under it is there."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = f"mount -t tmpfs -o size=64m tmpfs {place}"
    if subprocess.run([*in_namespace(mount), "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("nothing can be mounted here")
    stack = new_stack(own_store=True, SPOOL_DIR=f"{place}/spool", SPOOL_MIN_FREE_BYTES="0")
    stack.bridge.wrapper = in_namespace(mount)
    stack.start()
    stack.store.stop()
    stack.publisher.send(*pictures(100), undecodable())
    stack.bridge.wait_until_acknowledged(101)
    subprocess.run(
        ["nsenter", "--mount", "-t", str(stack.bridge.pid), "umount", "--lazy", str(place)], check=True
    )
    stack.publisher.send(*pictures(100))
    stack.bridge.wait_until_acknowledged(201, within=60)
    stack.bridge.kill()  # what was acknowledged is where it is found again
    assert (place / "spool" / "records" / "data.mdb").exists()
    stack.bridge.wrapper = []
    stack.store.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=60)


@pytest.mark.parametrize("kind", ["folder", "full folder", "link", "fifo", "socket"])
def test_anything_at_the_control_socket_s_place_holds_up_only_the_tools(new_stack, tmp_path, kind):
    stack = new_stack()
    spool = stack.bridge.spool_dir
    spool.mkdir(parents=True)
    path = spool / "control"
    victim = tmp_path / "victim"
    victim.write_text("somebody's")
    listener = socket.socket(socket.AF_UNIX)
    if "folder" in kind:
        path.mkdir()
        (path / "file").write_text("x") if kind == "full folder" else None
    elif kind == "link":
        path.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        os.chdir(spool)
        listener.bind("control")
        os.chdir("/")
        listener.listen()
    stack.start()
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()
    assert victim.read_text() == "somebody's"
    if kind in ("link", "fifo", "socket"):  # whose place it takes
        wait_until(lambda: stack.bridge.run("spool", "stat").returncode == 0, 60, "the tools are served")
    else:
        assert "no socket for the tools" in stack.bridge.log_text()
        shutil.rmtree(path)
    listener.close()
    assert stack.bridge.stop() == 0
