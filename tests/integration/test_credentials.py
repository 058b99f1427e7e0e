"""Keys and passwords that are replaced in their files, without a restart of the bridge."""

import pytest

from harness.messages import pictures
from harness.waiting import wait_until


def write(path, text):
    """As secrets are replaced: a new file in the old one's place."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)
    return path


def shared_file(path, secret_key, store):
    return write(
        path,
        f"[default]\naws_access_key_id = {store.access_key}\naws_secret_access_key = {secret_key}\n",
    )


@pytest.mark.parametrize("form", ["a file for the key", "a shared file"])
def test_the_stores_keys_are_replaced(new_stack, tmp_path, form):
    stack = new_stack(own_store=True, RETRY_MAX_DELAY="500ms")
    right, next_one = stack.store.secret_key, "another-" + stack.store.secret_key
    path = tmp_path / "keys"

    def put(key):
        if form == "a shared file":
            shared_file(path, key, stack.store)
        else:
            write(path, key + "\n")

    put(right)
    if form == "a shared file":
        stack.bridge.settings |= {
            "MINIO_ACCESS_KEY": None,
            "MINIO_SECRET_KEY": None,
            "AWS_SHARED_CREDENTIALS_FILE": path,
        }
    else:
        stack.bridge.settings |= {"MINIO_SECRET_KEY": None, "MINIO_SECRET_KEY_FILE": path}
    stack.start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    # The store takes another key from now on, and the bridge is told later.
    stack.store.stop()
    stack.store.lock_out()
    stack.store.secret_key = next_one
    stack.store.start()
    stack.bucket = stack.judge.bucket = stack.store.bucket(stack.bucket_name)
    stack.publisher.send(*pictures(20))
    wait_until(
        lambda: "SignatureDoesNotMatch" in stack.bridge.log_text(),
        20,
        lambda: f"the old key is refused:\n{stack.bridge.tail()}",
    )
    put(next_one)
    stack.assert_exactly_stored()
    assert "have changed in their files" in stack.bridge.log_text()
    assert next_one not in stack.bridge.log_text()


def test_temporary_keys_with_their_token(new_stack):
    """MinIO's own token service gives them (AssumeRole)."""
    stack = new_stack()
    keys = stack.store.temporary_keys()
    stack.bridge.settings |= {
        "MINIO_ACCESS_KEY": None,
        "MINIO_SECRET_KEY": None,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
    }
    stack.start()
    stack.publisher.send(*pictures(100, size=2_000))
    stack.assert_exactly_stored()


@pytest.mark.parametrize("form", ["a shared file", "a file for each"])
def test_temporary_keys_are_renewed_with_their_token(new_stack, tmp_path, form):
    """Pictures wait for as long as the store refuses the token, and leave with the next one."""
    stack = new_stack(RETRY_MAX_DELAY="500ms")
    if form == "a shared file":
        files = {"AWS_SHARED_CREDENTIALS_FILE": tmp_path / "keys"}
    else:
        names = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_SESSION_TOKEN")
        files = {f"{name}_FILE": tmp_path / name.lower() for name in names}
    stack.bridge.settings |= {"MINIO_ACCESS_KEY": None, "MINIO_SECRET_KEY": None} | files

    def put(keys, token):
        values = (keys.access_key, keys.secret_key, token)
        if form == "a shared file":
            names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            lines = [f"{name} = {value}" for name, value in zip(names, values)]
            write(files["AWS_SHARED_CREDENTIALS_FILE"], "\n".join(["[default]", *lines, ""]))
        else:
            for path, value in zip(files.values(), values):
                write(path, value + "\n")

    refused = stack.store.temporary_keys()
    spoilt = refused.token[:-8] + refused.token[-8:].swapcase()
    assert spoilt != refused.token
    put(refused, spoilt)
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(20))
    wait_until(
        lambda: stack.bridge.metric("store_state", state="blocked") == 1, 20,
        lambda: f"the token is refused:\n{stack.bridge.tail()}",
    )  # fmt: skip
    stack.bridge.wait_until_acknowledged(20)
    assert stack.bridge.metric("spool_messages") == 20
    assert stack.bucket.etags() == {}
    pid = stack.bridge.pid
    renewed = stack.store.temporary_keys()
    assert renewed.token != refused.token
    put(renewed, renewed.token)
    stack.assert_exactly_stored()
    assert stack.bridge.running and stack.bridge.pid == pid
    log = stack.bridge.log_text()
    assert "have changed in their files" in log
    for secret in (spoilt, renewed.token, refused.secret_key, renewed.secret_key):
        assert secret not in log


def test_the_brokers_password_is_replaced(new_stack, tmp_path):
    stack = new_stack(RETRY_MAX_DELAY="500ms", MQTT_USERNAME="camera")
    path = write(tmp_path / "password", "first\n")
    stack.bridge.settings["MQTT_PASSWORD_FILE"] = path
    stack.broker.allow_only("camera", "first")
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.broker.stop()
    stack.broker.allow_only("camera", "second")
    stack.broker.start()
    wait_until(
        lambda: "bad username or password" in stack.bridge.log_text()
        or "not authorised" in stack.bridge.log_text(),
        20,
        lambda: f"the old password is refused:\n{stack.bridge.tail()}",
    )
    write(path, "second\n")
    stack.bridge.wait_until_subscribed()
