"""scripts/quickstart: what it shows, what it reuses, and that it leaves nothing behind."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from harness.ports import accepts_connections
from harness.programs import REPOSITORY
from harness.store import Bucket, Endpoint
from harness.waiting import wait_until

SCRIPT = REPOSITORY / "scripts" / "quickstart"
SAMPLE = REPOSITORY / "scripts" / "assets" / "sample.jpg"
GIVEN_MESSAGE = REPOSITORY.parent / "shared" / "data" / "dummy_pic_mqtt_topic.json"
SERVICES = ("mosquitto", "minio", "daemon")


class Quickstart:
    """The script with a state folder of its own, so that a user's own run is left alone."""

    def __init__(self, home, minio):
        self.state = home / "mqtt-to-blob" / "quickstart"
        self._environment = os.environ | {"XDG_STATE_HOME": str(home), "MINIO_BIN": str(minio)}

    def put_before(self, name, commands):
        """What the script calls by that name from now on: a shell's commands."""
        programs = self.state.parent.parent / "programs"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / name).write_text(f"#!/bin/sh\n{commands}\n")
        (programs / name).chmod(0o755)
        self._environment["PATH"] = f"{programs}:{os.environ['PATH']}"

    def launch(self, *arguments):
        return subprocess.Popen(
            # A shell that starts something in the background lets it ignore Ctrl-C, and that is
            # inherited down to here.
            ["env", "--default-signal=INT", SCRIPT, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments, within=900):
        """(exit code, stdout, stderr)"""
        process = self.launch(*arguments)
        out, err = process.communicate(timeout=within)
        return process.returncode, out, err

    def record(self, name):
        """(pid, start time, ports), or None before it was ever started."""
        path = self.state / f"{name}.service"
        fields = path.read_text().split() if path.exists() else []
        return (int(fields[0]), fields[1], list(map(int, fields[2:]))) if fields else None

    def lives(self, name):
        record = self.record(name)
        return record is not None and start_time(record[0]) == record[1]

    def pids(self):
        return [self.record(name)[0] for name in SERVICES]

    def leftovers(self):
        """Processes that work in our state folder, whatever the records say."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(self.state).encode() in command:
                found.append(command.replace(b"\0", b" ").decode(errors="replace")[:120])
        return found

    def bucket(self):
        access_key, secret_key = (self.state / "credentials").read_text().split()
        port = self.record("minio")[2][0]
        return Bucket(Endpoint(port, access_key, secret_key), "pictures")


def start_time(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


@pytest.fixture
def quickstart(tmp_path, minio):
    script = Quickstart(tmp_path / "state home", minio)
    yield script
    script("--down")
    assert script.leftovers() == []


def key_in(output):
    return re.search(r"^  key +(\S+)$", output, re.MULTILINE)[1]


def hashes_in(output):
    return re.findall(r"^  (?:sent|stored) +(\d+) bytes, SHA-256 (\w{64})$", output, re.MULTILINE)


def test_it_shows_the_picture_reuses_what_runs_and_stops_it(quickstart):
    code, out, err = quickstart()
    assert code == 0, err
    sent, stored = hashes_in(out)
    assert sent == stored
    assert re.search(r"^    mqtt_topic = ia/factory1/line1/station1/productImage$", out, re.M)
    object_ = quickstart.bucket().read(key_in(out))
    assert (str(object_.size), object_.sha256) == stored
    assert object_.size == SAMPLE.stat().st_size
    pids = quickstart.pids()

    before = time.monotonic()
    code, again, err = quickstart()
    assert code == 0, err
    assert time.monotonic() - before < 30
    assert key_in(again) != key_in(out)
    assert quickstart.pids() == pids

    ports = [port for name in SERVICES for port in quickstart.record(name)[2]]
    code, _, err = quickstart("--down")
    assert code == 0, err
    assert not any(map(quickstart.lives, SERVICES))
    assert not any(map(accepts_connections, ports))
    assert quickstart.leftovers() == []


def test_it_publishes_a_given_message_also_for_a_second_time(quickstart):
    if not GIVEN_MESSAGE.exists():
        pytest.skip("the given message is not here")
    for _ in range(2):
        code, out, err = quickstart("--message", str(GIVEN_MESSAGE))
        assert code == 0, err
        sent, stored = hashes_in(out)
        assert sent == stored
        assert sent[0] == "120348"
        assert key_in(out) == "0_1635351550897.jpg"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("service", ["mosquitto", "minio", "daemon"])
def test_a_signal_stops_whatever_the_run_has_started(quickstart, number, service):
    process = quickstart.launch()
    wait_until(lambda: quickstart.record(service), 900, f"{service} is started", poll=0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "quickstart: error: " in err
    assert quickstart.leftovers() == []


def test_a_signal_is_told_also_out_of_a_command_whose_errors_go_nowhere(quickstart):
    quickstart.put_before("curl", 'kill -INT "$PPID"; exit 7')  # asks whether MinIO is ready
    code, _, err = quickstart()
    assert code == 128 + signal.SIGINT, err
    assert "quickstart: error: stopped by a signal" in err
    assert quickstart.record("minio") and not quickstart.lives("minio")


def test_a_daemon_that_cannot_start_is_one_clear_line_and_nothing_is_left(quickstart):
    quickstart.state.mkdir(parents=True)
    (quickstart.state / "spool").write_text("in the daemon's way")
    code, out, err = quickstart()
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("quickstart: error: ")]
    assert "daemon" in line and str(quickstart.state / "daemon.log") in line
    assert quickstart.leftovers() == []


def test_a_message_without_a_picture_is_refused_before_anything_is_started(quickstart, tmp_path):
    message = tmp_path / "message.json"
    message.write_text('{"image": {"image_id": "1"}}')
    code, _, err = quickstart("--message", str(message))
    assert code == 1
    assert err.splitlines()[-1].startswith("quickstart: error: ")
    assert quickstart.record("mosquitto") is None


def test_down_spares_a_process_that_only_has_the_same_pid(quickstart):
    quickstart.state.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as other:
        (quickstart.state / "daemon.service").write_text(f"{other.pid} 1 20000\n")
        code, _, err = quickstart("--down")
        assert code == 0, err
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("arguments", [["--bogus"], ["--message"], ["--down", "--message"], ["x"]])
def test_wrong_arguments_give_code_64_and_the_usage(quickstart, arguments):
    code, _, err = quickstart(*arguments)
    assert code == 64
    assert "Usage: scripts/quickstart" in err


def test_the_sample_has_the_size_that_the_script_tells():
    data = SAMPLE.read_bytes()
    frame = data.index(b"\xff\xc0")  # baseline JPEG: height, width, components
    height, width = (int.from_bytes(data[frame + at : frame + at + 2], "big") for at in (5, 7))
    told = re.search(r"^sample_width=(\d+) sample_height=(\d+) sample_channels=(\d+)$",
                     SCRIPT.read_text(), re.MULTILINE)  # fmt: skip
    assert [width, height, data[frame + 9]] == list(map(int, told.groups()))
    assert len(data) < 20 * 1024
