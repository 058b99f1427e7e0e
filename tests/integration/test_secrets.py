"""Secrets through a whole life of the daemon: they are in no place where somebody may look."""

import base64
import os
import pathlib
import re
import signal

import pytest

from harness.messages import pictures, undecodable
from harness.waiting import wait_until

USERNAME = "bridge"
PASSWORD = "canary-password-83c1"
SPOOL_KEY = "Y2FuYXJ5LXNwb29sLWtleS04M2MxLWFuZC1zbyBvbi4="
FULL_CORES = ["prlimit", "--core=unlimited:unlimited", "--"]
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()


def secrets_of(stack):
    """What the daemon was given. The access key is a name: each request says it in clear."""
    return {
        "the secret key": stack.store.secret_key,
        "the password": PASSWORD,
        "the spool's key in base64": SPOOL_KEY,
        "the spool's key": base64.b64decode(SPOOL_KEY),
    }


def give(stack, how):
    """The secrets by the environment, or by the files that it names."""
    values = {
        "MINIO_SECRET_KEY": stack.store.secret_key,
        "MQTT_PASSWORD": PASSWORD,
        "SPOOL_KEY": SPOOL_KEY,
    }
    for name, value in values.items():
        if how == "files":
            file = stack.folder / name.lower()
            file.write_text(value + "\n")
            stack.bridge.settings |= {name: None, f"{name}_FILE": file}
        else:
            stack.bridge.settings[name] = value
    stack.bridge.settings["MQTT_USERNAME"] = USERNAME
    stack.broker.allow_only(USERNAME, PASSWORD)


def assert_clean(stack, told):
    for place, content in told.items():
        content = content if isinstance(content, bytes) else content.encode(errors="replace")
        for name, secret in secrets_of(stack).items():
            secret = secret if isinstance(secret, bytes) else secret.encode()
            assert secret not in content, f"{name} is in {place}"


def output_of(bridge, *arguments, **settings):
    done = bridge.run(*arguments, within=30, **settings)
    return done.stdout + done.stderr


def process_list_of(bridge):
    """What `ps` shows of it, arguments and environment, to root and to its own user."""
    entries = pathlib.Path(f"/proc/{bridge.pid}")
    return {name: (entries / name).read_bytes() for name in ("cmdline", "environ", "comm", "status")}


def answers_of(bridge):
    answers = {}
    for path in ("/livez", "/readyz", "/metrics", "/", "/status", "/nothing?MQTT_PASSWORD"):
        status, headers, body = bridge.request(path)
        answers[f"the answer to {path}"] = f"{status} {headers} {body}"
    return answers


def files_below(folder):
    return {
        str(path): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("how", ["environment", "files"])
def test_no_secret_is_anywhere_in_a_life_with_every_trouble(new_stack, how):
    stack = new_stack(own_store=True, LOGGING_LEVEL="DEBUG")
    give(stack, how)
    stack.start()
    sender = stack.new_publisher(username=USERNAME, password=PASSWORD)
    bad = [undecodable() for _ in range(4)]
    sender.send(*pictures(20), *bad)
    stack.assert_exactly_stored()
    wait_until(lambda: sum(stack.bridge.dead_letters().values()) == len(bad), 10, "dead letters")
    told = answers_of(stack.bridge)

    # Another key at the store and another password at the broker.
    stack.store.stop()
    stack.store.lock_out()
    stack.store.start()
    sender.send(*pictures(3))
    stack.bridge.wait_for_log(re.compile(r" ERROR .*SignatureDoesNotMatch"))
    stack.broker.stop()
    stack.broker.allow_only(USERNAME, "another")
    stack.broker.start()
    stack.bridge.wait_for_log(re.compile(r"not authori[sz]ed|bad user", re.I))

    told |= answers_of(stack.bridge)
    told |= process_list_of(stack.bridge)
    for tool in (
        ["spool", "stat"], ["spool", "ls", "--json"], ["spool", "verify"],
        ["spool", "export", "exported"], ["dead-letter", "ls"], ["dead-letter", "ls", "--json"],
        ["--check"], ["--help"], ["--settings"], ["--health"],
    ):  # fmt: skip
        told[" ".join(tool)] = output_of(stack.bridge, *tool)
    told["--check with mistakes"] = output_of(
        stack.bridge, "--check", MQTT_USERNAME="", BROKER_PORT="x", MINIO_URL="http://a:b@c"
    )
    assert "waiting          3 (" in told["spool stat"], told["spool stat"]
    assert stack.bridge.stop() == 0
    told["the log"] = stack.bridge.log_text()
    assert " DEBUG " in told["the log"] and " ERROR " in told["the log"]
    told |= files_below(stack.bridge.spool_dir) | files_below(stack.bridge.folder / "exported")
    assert any(name.endswith("data.mdb") for name in told)
    assert_clean(stack, told)


def test_a_secret_is_no_flag(new_stack):
    bridge = new_stack().bridge
    for flag in ("--minio-secret-key", "--mqtt-password", "--minio-access-key"):
        for arguments in ([f"{flag}={PASSWORD}"], [flag, PASSWORD], ["--check", flag, PASSWORD]):
            run = bridge.run(*arguments)
            assert run.returncode == 64, run
            assert f"or by a file that {flag}-file names" in run.stderr
            assert PASSWORD not in run.stdout + run.stderr


def cores_of(folder, crash):
    """What the kernel writes into the folder when the process there dies; None: it writes elsewhere."""
    before = set(folder.iterdir())
    crash()
    found = [path for path in set(folder.iterdir()) - before if path.name.startswith("core")]
    assert len(found) <= 1, found
    return found[0].read_bytes() if found else None


def test_a_core_dump_has_none_of_the_memory(new_stack):
    stack = new_stack()
    give(stack, "environment")
    stack.bridge.wrapper = FULL_CORES
    stack.start()
    stack.new_publisher(username=USERNAME, password=PASSWORD).send(*pictures(5))
    stack.assert_exactly_stored()
    memory_filter = pathlib.Path(f"/proc/{stack.bridge.pid}/coredump_filter").read_text()
    assert int(memory_filter, 16) == 0x10
    memory = stack.bridge.private_bytes()

    def abort():
        assert stack.bridge.stop(signal.SIGABRT) == -signal.SIGABRT

    core = cores_of(stack.bridge.folder, abort)
    # Whether this machine writes cores at all, and into the folder, another process shows: with
    # them its secret is in there.
    if CORE_PATTERN.startswith(("/", "|")) or os.path.sep in CORE_PATTERN:
        assert core is None
        return
    control = cores_of(stack.folder, lambda: dump_of_a_process_with_a_secret(stack.folder))
    assert control is not None and PASSWORD.encode() in control, "nothing would be seen here"
    assert core is not None, "there is a core, with the registers"
    assert_clean(stack, {"the core": core})
    assert len(core) < memory / 4, "registers and notes: a processor with wide ones has some of them"


def dump_of_a_process_with_a_secret(folder):
    pid = os.posix_spawnp(
        "sh", ["sh", "-c", f'cd "{folder}" && ulimit -c unlimited && kill -ABRT $$'],
        os.environ | {"MQTT_PASSWORD": PASSWORD},
    )  # fmt: skip
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)


def test_what_the_process_list_hid_still_works_after_a_lost_connection(new_stack):
    stack = new_stack()
    give(stack, "environment")
    stack.start()
    mark = stack.bridge.mark()
    stack.broker.stop()
    stack.broker.start()
    stack.bridge.wait_for_log(re.compile(r" connected .*session_present=true"), since=mark)
    stack.new_publisher(username=USERNAME, password=PASSWORD).send(*pictures(2))
    stack.assert_exactly_stored()
