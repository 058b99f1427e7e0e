"""Starting, stopping, and what an operator sees of it."""

import re
import signal
import time

import pytest

from harness.messages import picture, pictures
from harness.ports import free_port
from harness.proxy import SilentServer
from harness.waiting import wait_until

SETTINGS = [
    "BROKER_URL", "BROKER_PORT", "TOPIC", "MINIO_URL", "MINIO_SECURE", "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY", "BUCKET_NAME", "LOGGING_LEVEL", "SPOOL_DIR", "SPOOL_MAX_BYTES",
    "SPOOL_MIN_FREE_BYTES", "MAX_MESSAGE_BYTES", "MQTT_VERSION", "MQTT_QOS", "MQTT_CLIENT_ID",
    "MQTT_USERNAME", "MQTT_PASSWORD", "STATUS_ADDRESS", "SHUTDOWN_TIMEOUT", "UPLOADER_THREADS",
    "RETRY_MAX_DELAY",
]  # fmt: skip
SECRETS = ["MINIO_SECRET_KEY", "MQTT_PASSWORD"]
STOPS = [signal.SIGTERM, signal.SIGINT]


def assert_stops(bridge, number=signal.SIGTERM, within=10):
    start = time.monotonic()
    code = bridge.stop(number, within)
    assert code == 0, f"exit code {code}:\n{bridge.tail()}"
    return time.monotonic() - start


@pytest.mark.parametrize("number", STOPS)
def test_it_stops_at_once_when_there_is_nothing_to_do(new_stack, number):
    stack = new_stack().start()
    stack.publisher.send(*pictures(10))
    stack.assert_exactly_stored()
    assert assert_stops(stack.bridge, number) < 3


@pytest.mark.parametrize("number", STOPS)
def test_it_stops_in_the_middle_of_the_flow_and_goes_on_later(new_stack, number):
    stack = new_stack().start()
    stream = stack.stream(pictures(800), per_second=400)
    for _ in range(3):
        before = stack.publisher.acknowledged
        wait_until(
            lambda: not stream.running or stack.publisher.acknowledged > before + 100, 10, "flow"
        )
        assert_stops(stack.bridge, number)
        stack.bridge.start()
    stream.finish()
    stack.assert_exactly_stored(within=30)


@pytest.mark.parametrize("number", STOPS)
def test_it_stops_while_broker_and_store_are_away(new_stack, number):
    stack = new_stack(own_store=True)
    stack.bridge.start()
    assert assert_stops(stack.bridge, number) < 9


def test_it_stops_while_the_store_is_away_and_keeps_its_backlog(new_stack):
    stack = new_stack(own_store=True).start()
    stack.store.stop()
    stack.publisher.send(*pictures(300))
    stack.bridge.wait_until_acknowledged(300)
    assert assert_stops(stack.bridge) < 9
    stack.bridge.start()
    assert stack.bridge.metric("spool_messages") == 300
    stack.store.start()
    stack.assert_exactly_stored(within=30)


def test_it_stops_while_the_broker_is_away(new_stack):
    stack = new_stack().start()
    stack.broker.stop()
    assert assert_stops(stack.bridge) < 9


def test_it_stops_while_the_spool_is_full_and_the_receiver_blocked(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="2MiB").start()
    stack.store.stop()
    stack.publisher.send(*pictures(300, size=20_000))
    wait_until(lambda: stack.bridge.metric("spool_bytes") > 1_500_000, 10, "the spool fills")
    assert assert_stops(stack.bridge) < 9
    stack.bridge.start()
    stack.store.start()
    stack.assert_exactly_stored(within=30)


def test_it_stops_in_time_while_store_and_broker_say_nothing(new_stack):
    with SilentServer() as silent:
        stack = new_stack(
            own_store=True, MINIO_URL=f"127.0.0.1:{silent.port}", BROKER_PORT=silent.port,
            SHUTDOWN_TIMEOUT="2s",
        )  # fmt: skip
        stack.bridge.start()
        wait_until(lambda: silent.connections >= 1, 10, "somebody connects")
        assert assert_stops(stack.bridge) < 4


def test_uploads_that_hang_are_abandoned_in_time_and_done_later(new_stack):
    with SilentServer() as silent:
        stack = new_stack()
        stack.broker.start()
        bridge = stack.bridge
        right_address = bridge.settings["MINIO_URL"]
        bridge.settings |= {"MINIO_URL": f"127.0.0.1:{silent.port}", "SHUTDOWN_TIMEOUT": "2s"}
        bridge.start()
        stack.broker.wait_for_subscription("ia/rawImage/#")
        stack.publisher.send(*pictures(20))
        bridge.wait_until_acknowledged(20)
        assert assert_stops(bridge) < 4
    bridge.settings["MINIO_URL"] = right_address
    bridge.start()
    stack.assert_exactly_stored()


def test_a_second_process_on_the_same_spool_is_told_who_holds_it(new_stack):
    stack = new_stack().start()
    second = stack.bridge.run(STATUS_ADDRESS=f"127.0.0.1:{free_port()}")
    assert second.returncode == 74, second
    assert re.search(rf"\b{stack.bridge.pid}\b", second.stderr), second.stderr
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()


def test_the_spool_is_free_again_after_a_crash(new_stack):
    stack = new_stack().start()
    stack.bridge.kill()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()


@pytest.mark.parametrize("place", ["a file", "below a file", "read-only"])
def test_a_spool_that_cannot_be_written_ends_it_with_a_reason(new_stack, tmp_path, place):
    file = tmp_path / "file"
    file.write_text("")
    directory = {"a file": file, "below a file": file / "spool", "read-only": "/proc/spool"}[place]
    run = new_stack().bridge.run(SPOOL_DIR=directory)
    assert run.returncode == 74, run
    assert str(directory) in run.stderr


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_every_mistake_of_the_configuration_is_told_at_once(new_stack, arguments):
    run = new_stack().bridge.run(
        *arguments,
        BROKER_URL=None, BROKER_PORT="70000", TOPIC="ia/#/x", MINIO_SECURE="perhaps",
        MINIO_URL="10.0.0.5", BUCKET_NAME="Bad_Name", LOGGING_LEVEL="LOUD", MQTT_QOS="3",
        MQTT_VERSION="4", SPOOL_MAX_BYTES="many", SHUTDOWN_TIMEOUT="soon", STATUS_ADDRESS="nowhere",
        MINIO_SECRET_KEY="canary-of-the-secret", UPLOADER_THREADS="257",
    )  # fmt: skip
    assert run.returncode == 78, run
    told = run.stderr
    for name, value in [
        ("BROKER_URL", ""), ("BROKER_PORT", "70000"), ("TOPIC", "ia/#/x"),
        ("MINIO_SECURE", "perhaps"), ("MINIO_URL", "10.0.0.5"), ("BUCKET_NAME", "Bad_Name"),
        ("LOGGING_LEVEL", "LOUD"), ("MQTT_QOS", "3"), ("MQTT_VERSION", "4"),
        ("SPOOL_MAX_BYTES", "many"), ("SHUTDOWN_TIMEOUT", "soon"), ("STATUS_ADDRESS", "nowhere"),
        ("UPLOADER_THREADS", "257"),
    ]:  # fmt: skip
        lines = [line for line in told.splitlines() if name in line]
        assert lines, f"{name} is not told:\n{told}"
        assert any(value in line for line in lines), f"{name} without its value:\n{told}"
    assert "canary" not in told + run.stdout


def test_secrets_are_masked_where_they_are_the_mistake(new_stack, tmp_path):
    secret_file = tmp_path / "secret"
    secret_file.write_text("canary-in-the-file")
    run = new_stack().bridge.run(
        "--check", MINIO_SECRET_KEY="canary-given", MINIO_SECRET_KEY_FILE=secret_file,
        MQTT_USERNAME="", MQTT_PASSWORD="canary-password",
    )  # fmt: skip
    assert run.returncode == 78, run
    assert "MINIO_SECRET_KEY" in run.stderr
    assert "canary" not in run.stderr + run.stdout


def test_check_is_content_with_a_good_configuration_and_touches_nothing(new_stack):
    stack = new_stack()
    run = stack.bridge.run("--check")
    assert run.returncode == 0, run
    assert not stack.bridge.spool_dir.exists()


def test_check_works_beside_the_running_daemon(new_stack):
    stack = new_stack().start()
    assert stack.bridge.run("--check").returncode == 0


def test_a_secret_may_be_read_from_a_file(new_stack):
    stack = new_stack()
    for name, secret in {"MINIO_SECRET_KEY": stack.store.secret_key, "MQTT_PASSWORD": "pw"}.items():
        (stack.folder / name).write_text(secret + "\n")
        stack.bridge.settings |= {name: None, f"{name}_FILE": stack.folder / name}
    stack.broker.allow_only("bridge", "pw")
    stack.bridge.settings["MQTT_USERNAME"] = "bridge"
    stack.start()
    stack.new_publisher(username="bridge", password="pw").send(*pictures(3))
    stack.assert_exactly_stored()


def test_a_flag_wins_over_the_environment(new_stack):
    stack = new_stack()
    stack.bridge.settings |= {"TOPIC": "never/used", "BUCKET_NAME": "never-used"}
    stack.bridge.arguments = ["--topic=ia/#", f"--bucket-name={stack.bucket_name}"]
    stack.start()
    stack.publisher.send(*pictures(3))
    stack.assert_exactly_stored()


@pytest.mark.parametrize(
    "spelling, secure",
    [("False", False), ("false", False), ("0", False), ("no", False), ("True", True), ("1", True)],
)
def test_minio_secure_means_what_it_says(new_stack, spelling, secure):
    stack = new_stack(MINIO_SECURE=spelling)
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription("ia/rawImage/#")
    stack.publisher.send(picture())
    if not secure:
        stack.assert_exactly_stored()
    else:
        # Over TLS a plain server cannot be talked to: nothing is stored, and nothing is lost.
        stack.bridge.wait_for_log(re.compile(r" (WARNING|ERROR) +\S+: .*", re.I))
        stack.bridge.wait_until_acknowledged(1)
        assert not stack.bucket.etags()
        assert stack.bridge.metric("spool_messages") == 1


@pytest.mark.parametrize(
    "arguments", [["--no-such-flag"], ["stray"], ["--broker-port"], ["--check", "--health"]]
)
def test_a_wrong_command_line_is_a_usage_error(new_stack, arguments):
    run = new_stack().bridge.run(*arguments)
    assert run.returncode == 64, run
    assert "--help" in run.stderr


def test_version_names_the_program_and_a_number(new_stack):
    run = new_stack().bridge.run("--version")
    assert run.returncode == 0
    assert re.fullmatch(r"mqtt-to-blob \d+\.\d+\.\d+\S*\n", run.stdout), run.stdout


def test_help_names_every_setting_and_its_flag(new_stack):
    run = new_stack().bridge.run("--help")
    assert run.returncode == 0
    for name in SETTINGS + [f"{secret}_FILE" for secret in SECRETS]:
        assert re.search(rf"\b{name}\b", run.stdout), f"{name} is missing"
        flag = "--" + name.lower().replace("_", "-")
        assert re.search(rf"{flag}\b", run.stdout), f"{flag} is missing"


def test_health_tells_whether_the_daemon_lives(new_stack):
    stack = new_stack()
    assert stack.bridge.run("--health").returncode == 1
    stack.bridge.start()
    assert stack.bridge.run("--health").returncode == 0
    stack.bridge.kill()
    assert stack.bridge.run("--health").returncode == 1


def test_a_closed_pipe_does_not_end_it(new_stack):
    stack = new_stack().start()
    stack.bridge.send_signal(signal.SIGPIPE)
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()
    assert stack.bridge.running
