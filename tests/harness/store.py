"""A real MinIO on a loopback port, and a client of it that is not ours."""

import hashlib
import http.client
import itertools
import os
import ssl
import threading
import urllib.parse
from dataclasses import dataclass

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

from harness.ports import free_port
from harness.programs import obtained
from harness.service import Service
from harness.waiting import wait_until

_REGION = "us-east-1"
_bucket_numbers = itertools.count(1)


def minio_binary():
    """$MINIO_BIN, or what scripts/minio finds."""
    return obtained("MINIO_BIN", "minio")


@dataclass(frozen=True)
class TemporaryKeys:
    access_key: str
    secret_key: str
    token: str


@dataclass(frozen=True)
class StoredObject:
    size: int
    sha256: str
    content_type: str
    metadata: dict


class Endpoint:
    """A store on the loopback, whoever runs it."""

    def __init__(self, port, access_key, secret_key, authority=None):
        self.port = port
        self.access_key = access_key
        self.secret_key = secret_key
        self.authority = authority  # whose certificates it has; None: no TLS

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{'https' if self.authority else 'http'}://{self.address}"

    def get(self, path):
        """(status, headers, body) of a signed GET. Thread-safe, one kept connection a thread.

        Signed by botocore and sent by hand: boto3's own get_object takes three times as long, which
        is felt with thousands of objects.
        """
        request = botocore.awsrequest.AWSRequest(
            "GET",
            f"{self.url}{path}",
            headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        )
        credentials = botocore.credentials.Credentials(self.access_key, self.secret_key)
        botocore.auth.S3SigV4Auth(credentials, "s3", _REGION).add_auth(request)
        for attempt in (1, 2):
            connection = self._connection(fresh=attempt == 2)
            try:
                connection.request("GET", path, headers=dict(request.headers))
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException):
                # The server may have closed a connection that was kept; a second failure is one.
                connection.close()
                if attempt == 2:
                    raise

    def is_ready(self):
        # The health check answers a little before the server takes signed requests.
        try:
            return self.get("/minio/health/ready")[0] == 200 and self.get("/any")[0] != 503
        except (OSError, http.client.HTTPException):
            return False

    _kept = threading.local()

    def _connection(self, fresh):
        connections = self._kept.__dict__
        if fresh or self.port not in connections:
            connections[self.port] = self._new_connection()
        return connections[self.port]


    def _new_connection(self):
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        context = ssl.create_default_context(cafile=self.authority.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)


class Store(Endpoint, Service):
    """With an authority it has a certificate of it and speaks TLS alone."""

    def __init__(self, folder, binary, name="store", wrapper=(), authority=None):
        Service.__init__(self, name, folder)
        Endpoint.__init__(self, free_port(), "integration", "integration-secret", authority)
        if authority is not None:
            self.show(authority.issue("minio"))
        self._binary = binary
        self._wrapper = list(wrapper)  # a command that runs the server
        self._console_port = free_port()
        # What the server takes for right from its next start on; see lock_out().
        self._password = self.secret_key

    def command(self):
        return [
            *self._wrapper, self._binary, "server", "--quiet",
            "--address", self.address,
            "--console-address", f"127.0.0.1:{self._console_port}",
            "--certs-dir", self._certificates,
            self.folder / "data",
        ]  # fmt: skip

    def environment(self):
        return super().environment() | {
            "HOME": str(self.folder),
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self._password,
            "MINIO_BROWSER": "off",
        }

    def is_up(self):
        return self.is_ready()

    def show(self, identity):
        """With its next start, or a little later, it shows this certificate."""
        self._certificates.mkdir(exist_ok=True)
        for source, name in ((identity.key, "private.key"), (identity.certificate, "public.crt")):
            fresh = self._certificates / (name + ".new")
            fresh.write_bytes(source.read_bytes())
            fresh.rename(self._certificates / name)

    @property
    def _certificates(self):
        return self.folder / "certificates"

    def lock_out(self):
        """From the next start on the clients' secret key is wrong."""
        self._password = "another-" + self.secret_key

    def let_in(self):
        """From the next start on the clients' secret key is right again."""
        self._password = self.secret_key

    def temporary_keys(self):
        """Of its own token service (AssumeRole); it must run."""
        given = boto3.client(
            "sts",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION,
        ).assume_role(RoleArn="arn:aws:iam::0:role/any", RoleSessionName="bridge")["Credentials"]
        return TemporaryKeys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def new_bucket(self):
        """The name of a bucket that nobody uses yet; it is not made."""
        return f"pictures-{os.getpid()}-{next(_bucket_numbers)}"

    def bucket(self, name):
        return Bucket(self, name)


class Bucket:
    """What is in one bucket, seen through boto3."""

    def __init__(self, store, name):
        self.name = name
        self._store = store
        self._s3 = boto3.client(
            "s3",
            endpoint_url=store.url,
            verify=str(store.authority.certificate) if store.authority else None,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
            region_name=_REGION,
            config=botocore.config.Config(
                connect_timeout=2, read_timeout=10, retries={"max_attempts": 3}
            ),
        )

    def create(self):
        self._s3.create_bucket(Bucket=self.name)

    def keep_versions(self):
        """Makes the bucket, where each PUT of a key is kept from now on."""
        self.create()
        self._s3.put_bucket_versioning(
            Bucket=self.name, VersioningConfiguration={"Status": "Enabled"}
        )

    def surplus_versions(self):
        """How many PUTs there were beyond one for each key; 0 where versions are not kept."""
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name)
        keys = [entry["Key"] for page in pages for entry in page.get("Versions", ())]
        return len(keys) - len(set(keys))

    def exists(self):
        try:
            self._s3.head_bucket(Bucket=self.name)
            return True
        except botocore.exceptions.ClientError:
            return False

    def empty(self):
        """Deletes all objects with all their versions, and returns their keys."""
        deleted = set()
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name):
            entries = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                for kind in ("Versions", "DeleteMarkers")
                for entry in page.get(kind, ())
            ]
            if entries:
                self._s3.delete_objects(Bucket=self.name, Delete={"Objects": entries})
            deleted.update(entry["Key"] for entry in entries)
        return deleted

    def delete_with_all_objects(self, within=10):
        """Also while somebody fills it. Returns the keys of what was in it."""
        deleted = set()

        def is_gone():
            deleted.update(self.empty())
            try:
                self._s3.delete_bucket(Bucket=self.name)
                return True
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "BucketNotEmpty":
                    raise
                return False

        wait_until(is_gone, within, "the bucket is deleted", poll=0)
        return deleted

    def put(self, key, body, metadata=None, content_type="image/jpeg"):
        self._s3.put_object(
            Bucket=self.name, Key=key, Body=body, Metadata=metadata or {}, ContentType=content_type
        )

    def delete(self, key):
        self._s3.delete_object(Bucket=self.name, Key=key)

    def etags(self):
        """key -> ETag of every object; nothing where the bucket is missing."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        try:
            return {
                entry["Key"]: entry["ETag"].strip('"')
                for page in pages
                for entry in page.get("Contents", ())
            }
        except self._s3.exceptions.NoSuchBucket:
            return {}

    def times(self):
        """key -> Last-Modified of every object."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {
            entry["Key"]: entry["LastModified"]
            for page in pages
            for entry in page.get("Contents", ())
        }

    def read(self, key):
        """The object, or None. Thread-safe."""
        path = "/" + self.name + "/" + urllib.parse.quote(key, safe="/~")
        status, headers, body = self._store.get(path)
        if status == 404:
            return None
        assert status == 200, f"GET {path} gave {status}: {body[:300]!r}"
        prefix = "x-amz-meta-"
        return StoredObject(
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            content_type=headers["Content-Type"],
            metadata={
                name.lower()[len(prefix) :]: value
                for name, value in headers.items()
                if name.lower().startswith(prefix)
            },
        )
