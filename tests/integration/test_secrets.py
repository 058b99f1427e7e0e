"""Secrets through a whole life of the daemon: they are in no place where somebody may look."""

import base64
import contextlib
import os
import pathlib
import re
import signal

import pytest

from harness.certificates import Authority
from harness.messages import pictures, undecodable
from harness.programs import REPOSITORY
from harness.tls_front import TlsFront
from harness.waiting import wait_until

USERNAME = "bridge"
PASSWORD = "canary-password-83c1"
STATUS_TOKEN = "canary-status-token-83c1"
SPOOL_KEY = "Y2FuYXJ5LXNwb29sLWtleS04M2MxLWFuZC1zbyBvbi4="
CANARIES = {
    "MQTT_PASSWORD": PASSWORD,
    "MQTT_KEY_PASSWORD": "canary-broker-key-83c1",
    "STORE_KEY_PASSWORD": "canary-store-key-83c1",
    "STATUS_TOKEN": STATUS_TOKEN,
    "SPOOL_KEY": SPOOL_KEY,
}
WRONG = "canary-of-somebody-who-guesses-83c1"
# A name: each request says it in clear.
NOT_SECRET = {"MINIO_ACCESS_KEY"}
OF_AWS = {
    "MINIO_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "MINIO_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "MINIO_SESSION_TOKEN": "AWS_SESSION_TOKEN",
}
SECRET_SETTING = re.compile(r"`(\w+)` or `\1_FILE`")
FULL_CORES = ["prlimit", "--core=unlimited:unlimited", "--"]
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()


def secret_settings():
    """Those that may come by a file of their own, as the table of the README has them."""
    names = set(SECRET_SETTING.findall((REPOSITORY / "README.md").read_text()))
    assert {"MINIO_SECRET_KEY", "SPOOL_KEY"} <= names
    return names


@pytest.fixture
def guarded(new_stack, tmp_path):
    """Stacks whose bridge needs each secret that it can be given: broker and store want a certificate
    whose key is encrypted, the broker a password too, and the store a token with temporary keys."""
    with contextlib.ExitStack() as fronts:

        def make(how, **options):
            stack = new_stack(MQTT_TRANSPORT="tls", MINIO_SECURE="True", **options)
            authority = Authority(tmp_path / "authority")
            stack.broker.allow_only(USERNAME, PASSWORD)
            port = stack.broker.listen(identity=authority.issue("broker"), clients_of=authority)
            context = authority.issue("front").server_context(clients_of=authority)
            front = fronts.enter_context(TlsFront(stack.store.port, context))
            settings = stack.bridge.settings
            settings |= {
                "MQTT_USERNAME": USERNAME, "BROKER_PORT": port,
                "MINIO_URL": f"127.0.0.1:{front.port}",
            }  # fmt: skip
            for peer in ("STORE", "MQTT"):
                own = authority.issue(peer.lower(), password=CANARIES[f"{peer}_KEY_PASSWORD"])
                settings[f"{peer}_CA_FILE"] = authority.certificate
                settings[f"{peer}_CERT_FILE"] = own.certificate
                settings[f"{peer}_KEY_FILE"] = own.key
            # With a key that the password does not open.
            stack.renew_badly = lambda: own.replace(authority.issue("renewed", password=WRONG))
            if not stack.store.running:
                stack.store.start()
            give(stack, how, stack.store.temporary_keys())
            return stack

        yield make


def give(stack, how, keys):
    """The secrets by the environment, under our names or those of AWS, or by the files that it names."""
    stack.secrets = CANARIES | {
        "MINIO_SECRET_KEY": keys.secret_key,
        "MINIO_SESSION_TOKEN": keys.token,
    }
    assert set(stack.secrets) == secret_settings() - NOT_SECRET
    for name, value in (stack.secrets | {"MINIO_ACCESS_KEY": keys.access_key}).items():
        stack.bridge.settings[name] = None
        give_one(stack, how, name, value)


def give_one(stack, how, name, value):
    if how == "files":
        file = stack.folder / name.lower()
        file.write_text(value + "\n")
        stack.bridge.settings[f"{name}_FILE"] = file
    elif how == "the names of AWS":
        stack.bridge.settings[OF_AWS.get(name, name)] = value
    else:
        stack.bridge.settings[name] = value


def told_of(stack):
    """What must be nowhere, and what it is called."""
    told = {name: value.encode() for name, value in stack.secrets.items()}
    told["the spool's key"] = base64.b64decode(SPOOL_KEY)
    # A part of the token would do for nobody, but nobody shall see how it goes on.
    _, told["the token's claims"], told["the token's signature"] = told["MINIO_SESSION_TOKEN"].split(b".")
    told["a wrong secret"] = WRONG.encode()
    return told


def assert_clean(stack, told):
    for place, content in told.items():
        content = content if isinstance(content, bytes) else content.encode(errors="replace")
        for name, secret in told_of(stack).items():
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
    paths = ("/livez", "/readyz", "/metrics", "/", "/page.js", "/status", "/nothing?MQTT_PASSWORD",
             f"/status?token={STATUS_TOKEN}",
             f"/dead-letters/{bridge.status()['dead_letters']['latest'][0]['id']}")  # fmt: skip
    for path in paths:
        for token in (None, STATUS_TOKEN, WRONG):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            status, headers, body = bridge.request(path, headers=headers)
            answers[f"the answer to {path} with the token {token}"] = f"{status} {headers} {body}"
    return answers


def files_below(folder):
    return {
        str(path): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("how", ["environment", "files"])
def test_no_secret_is_anywhere_in_a_life_with_every_trouble(guarded, how):
    stack = guarded(how, LOGGING_LEVEL="DEBUG")
    stack.start()
    sender = stack.new_publisher(username=USERNAME, password=PASSWORD)
    bad = [undecodable() for _ in range(4)]
    sender.send(*pictures(20), *bad)
    stack.assert_exactly_stored()
    wait_until(lambda: sum(stack.bridge.dead_letters().values()) == len(bad), 10, "dead letters")
    told = answers_of(stack.bridge)
    (*_, oldest) = stack.bridge.status()["dead_letters"]["latest"]
    assert stack.bridge.act("drop", [oldest["id"]], WRONG) == 401
    assert stack.bridge.act("drop", [oldest["id"]], STATUS_TOKEN) == 200
    told |= process_list_of(stack.bridge)

    # A wrong key for the store, and another password at the broker.
    assert stack.bridge.stop() == 0
    give_one(stack, how, "MINIO_SECRET_KEY", WRONG)
    stack.bridge.start()
    sender.send(*pictures(3))
    stack.bridge.wait_until_acknowledged(3)
    stack.bridge.wait_for_log(re.compile(r" ERROR .*SignatureDoesNotMatch"))
    stack.broker.stop()
    stack.broker.allow_only(USERNAME, "another")
    stack.broker.start()
    stack.bridge.wait_for_log(re.compile(r"not authori[sz]ed|bad user", re.I))

    told |= {f"{place} later": what for place, what in process_list_of(stack.bridge).items()}
    for tool in (
        ["spool", "stat"], ["spool", "ls", "--json"], ["spool", "verify"],
        ["spool", "export", "exported"], ["dead-letter", "ls"], ["dead-letter", "ls", "--json"],
        ["--check"], ["--help"], ["--settings"], ["--health"],
    ):  # fmt: skip
        told[" ".join(tool)] = output_of(stack.bridge, *tool)
    told["--check with mistakes"] = output_of(
        stack.bridge, "--check", MQTT_USERNAME="", BROKER_PORT="x", MINIO_URL="http://a:b@c"
    )
    for name in stack.secrets:
        told[f"--check with another {name}"] = output_of(
            stack.bridge, "--check", **{f"{name}_FILE": None, name: WRONG}
        )
    for name in ("MQTT_KEY_PASSWORD", "STORE_KEY_PASSWORD", "SPOOL_KEY"):
        assert name in told[f"--check with another {name}"], "it is used"
    assert "waiting          3 (" in told["spool stat"], told["spool stat"]
    stack.renew_badly()
    stack.bridge.wait_for_log(re.compile(r" ERROR .*MQTT_KEY_PASSWORD"))
    told |= {f"{place} later": what for place, what in answers_of(stack.bridge).items()}
    assert stack.bridge.stop() == 0
    told["the log"] = stack.bridge.log_text()
    assert " DEBUG " in told["the log"] and " ERROR " in told["the log"]
    told |= files_below(stack.bridge.spool_dir) | files_below(stack.bridge.folder / "exported")
    assert any(name.endswith("data.mdb") for name in told)
    assert_clean(stack, told)


def test_a_secret_is_no_flag(new_stack):
    bridge = new_stack().bridge
    for name in secret_settings() | set(OF_AWS.values()):
        flag = "--" + name.lower().replace("_", "-")
        for arguments in ([f"{flag}={PASSWORD}"], [flag, PASSWORD], ["--check", flag, PASSWORD]):
            run = bridge.run(*arguments)
            assert run.returncode == 64, run
            if name in OF_AWS.values():
                assert f"unknown flag {flag};" in run.stderr
            else:
                assert f"or by a file that {flag}-file names" in run.stderr
            assert PASSWORD not in run.stdout + run.stderr


def test_each_secret_setting_is_in_the_table_of_the_readme(new_stack):
    """Where the tests above have them from."""
    table = new_stack().bridge.run("--settings").stdout
    assert set(SECRET_SETTING.findall(table)) == secret_settings()


def cores_of(folder, crash):
    """What the kernel writes into the folder when the process there dies; None: it writes elsewhere."""
    before = set(folder.iterdir())
    crash()
    found = [path for path in set(folder.iterdir()) - before if path.name.startswith("core")]
    assert len(found) <= 1, found
    return found[0].read_bytes() if found else None


def test_a_core_dump_has_none_of_the_memory(guarded):
    stack = guarded("environment")
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


@pytest.mark.parametrize("how", ["environment", "the names of AWS"])
def test_what_the_process_list_hid_still_works_after_a_lost_connection(guarded, how):
    stack = guarded(how)
    stack.start()
    assert_clean(stack, process_list_of(stack.bridge))
    mark = stack.bridge.mark()
    stack.broker.stop()
    stack.broker.start()
    stack.bridge.wait_for_log(re.compile(r" connected .*session_present=true"), since=mark)
    stack.new_publisher(username=USERNAME, password=PASSWORD).send(*pictures(2))
    stack.assert_exactly_stored()
