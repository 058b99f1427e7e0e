"""Keys and passwords that are replaced in their files, without a restart of the bridge."""

import boto3
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


def test_temporary_keys_with_their_token(new_stack, tmp_path):
    """MinIO's own token service gives them (AssumeRole)."""
    stack = new_stack()
    if not stack.store.running:
        stack.store.start()
    keys = boto3.client(
        "sts",
        endpoint_url=stack.store.url,
        aws_access_key_id=stack.store.access_key,
        aws_secret_access_key=stack.store.secret_key,
        region_name="us-east-1",
    ).assume_role(RoleArn="arn:aws:iam::0:role/any", RoleSessionName="bridge")["Credentials"]
    stack.bridge.settings |= {
        "MINIO_ACCESS_KEY": None,
        "MINIO_SECRET_KEY": None,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    stack.start()
    stack.publisher.send(*pictures(100, size=2_000))
    stack.assert_exactly_stored()


def test_the_brokers_password_is_replaced(new_stack, tmp_path):
    stack = new_stack(RETRY_MAX_DELAY="500ms", MQTT_USERNAME="camera")
    path = write(tmp_path / "password", "first\n")
    stack.bridge.settings["MQTT_PASSWORD_FILE"] = path
    stack.broker.allow_only("camera", "first")
    stack.broker.start()
    stack.bridge.start_ready()
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
    stack.bridge.wait_until_ready()
