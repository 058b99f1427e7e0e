"""Users of a MinIO who may do less than its root, by its admin API."""

import hashlib
import http.client
import json
import os
import struct
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PBKDF2_AES_GCM = b"\x02"
_PBKDF2_ROUNDS = 8192


class MinioUser:
    """Made with a policy of its own, which may() replaces at any moment."""

    def __init__(self, store, access_key, secret_key, *statements):
        self._store = store
        self._policy = f"policy-of-{access_key}"
        self.may(*statements)
        account = json.dumps({"secretKey": secret_key, "status": "enabled"}).encode()
        _call(store, "add-user", _encrypted(store.secret_key, account), accessKey=access_key)
        _call(store, "set-user-or-group-policy", policyName=self._policy, userOrGroup=access_key,
              isGroup="false")  # fmt: skip

    def may(self, *statements):
        """(actions, resources) each, such as (["s3:PutObject"], ["bucket/folder/*"])."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": actions,
                    "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
                }
                for actions, resources in statements
            ],
        }
        _call(self._store, "add-canned-policy", json.dumps(policy).encode(), name=self._policy)


def _call(store, what, body=b"", **query):
    path = f"/minio/admin/v3/{what}?{urllib.parse.urlencode(query)}"
    request = botocore.awsrequest.AWSRequest("PUT", f"{store.url}{path}", data=body)
    credentials = botocore.credentials.Credentials(store.access_key, store.secret_key)
    botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)
    try:
        connection.request("PUT", path, body, dict(request.headers))
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{what} gave {answer.status}: {text!r}"
    finally:
        connection.close()


def _encrypted(password, text):
    """As madmin-go's EncryptData has it, for texts of less than 16 KiB: salt, algorithm, nonce, and
    one last fragment of sio-go, bound to the (empty) associated data."""
    salt, nonce = os.urandom(32), os.urandom(8)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _PBKDF2_ROUNDS, 32)
    cipher = AESGCM(key)
    bound = cipher.encrypt(nonce + struct.pack("<I", 0), b"", b"")
    last = cipher.encrypt(nonce + struct.pack("<I", 1), text, b"\x80" + bound)
    return salt + _PBKDF2_AES_GCM + nonce + last
