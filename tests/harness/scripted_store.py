"""An S3 store whose answers are scripted, for what neither MinIO nor a line to it does on demand.

It takes nothing that a real one would refuse: signatures, payload hashes and dates are checked.
"""

import base64
import contextlib
import email.utils
import hashlib
import hmac
import http.server
import itertools
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone

from harness.ports import free_port
from harness.store import Endpoint, StoredObject

_CHECKSUM = "x-amz-checksum-sha256"
_MAX_SKEW = 15 * 60  # as S3 and MinIO have it
_DRIP = 0.25  # seconds from byte to byte
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)"
)


@dataclass(frozen=True)
class Answer:
    """What the store says in place of what would be right; 0 and "whole" leave that as it is."""

    status: int = 0
    code: str = ""
    body: bytes = None  # instead of S3's error document
    headers: tuple = ()
    keeps: bool = False  # stores the object, whatever it says
    # "whole"; "none": the connection is closed instead; "half" of it, then closed; "drip": whole,
    # but with a body that comes byte by byte and for ever; "raw": the body without a status line,
    # then closed; "closing": whole, then closed without having said so; "continuing": behind some
    # "100 Continue" that nobody asked for; "reset": the request's body is not read, the connection
    # reset.
    manner: str = "whole"

    @property
    def name(self):
        return self.code or (str(self.status) if self.status else self.manner)


@dataclass(frozen=True)
class Refusal(Exception):
    status: int
    code: str


@dataclass(frozen=True)
class Request:
    method: str
    bucket: str
    key: str  # empty: the bucket itself
    size: int = 0  # of the body
    arrived: float = 0.0  # time.monotonic()

    @property
    def is_upload(self):
        return self.method == "PUT" and self.key != ""


class ScriptedStore(Endpoint):
    def __init__(self):
        super().__init__(free_port(), "scripted", "scripted-secret")
        self.clock_offset = 0  # seconds that its clock is wrong by
        self.said = Counter()  # answers out of the script, by name
        self.connections = 0
        self.requests = []  # since it was last told what to say, in order of arrival
        self._buckets = {}
        self._numbers = itertools.count(1)
        self._choose = None
        self._lock = threading.Lock()
        self._server = None

    @property
    def running(self):
        return self._server is not None

    def start(self):
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.store = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def close(self):
        if self.running:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def new_bucket(self):
        return f"pictures-{next(self._numbers)}"

    def bucket(self, name):
        return ScriptedBucket(self, name)

    @contextlib.contextmanager
    def saying(self, choose, everything=False):
        """Meanwhile an Answer, or what choose(request) returns, to each PUT of an object, or to
        everything."""
        to_all = choose if callable(choose) else lambda request: choose
        to_uploads = lambda request: to_all(request) if request.is_upload else None
        self.requests = []
        self._choose = to_all if everything else to_uploads
        try:
            yield self.said
        finally:
            self._choose = None

    def now(self):
        return time.time() + self.clock_offset

    # For the handlers' threads.

    def answer_to(self, request):
        """Out of the script; None: what is right."""
        choose = self._choose
        if choose is None:
            return None
        answer = choose(request)
        with self._lock:
            self.requests.append(request)
            if answer is not None:
                self.said[answer.name] += 1
        return answer

    def count_connection(self):
        with self._lock:
            self.connections += 1

    def make_bucket(self, name):
        with self._lock:
            if name in self._buckets:
                raise Refusal(409, "BucketAlreadyOwnedByYou")
            self._buckets[name] = {}

    def has_bucket(self, name):
        return name in self._buckets

    def put(self, request, body, headers):
        """The ETag."""
        prefix = "x-amz-meta-"
        stored = StoredObject(
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            content_type=headers.get("Content-Type"),
            metadata={
                name.lower()[len(prefix) :]: value
                for name, value in headers.items()
                if name.lower().startswith(prefix)
            },
        )
        etag = hashlib.md5(body).hexdigest()
        with self._lock:
            if request.bucket not in self._buckets:
                raise Refusal(404, "NoSuchBucket")
            objects = self._buckets[request.bucket]
            puts = objects[request.key][2] if request.key in objects else 0
            objects[request.key] = (etag, stored, puts + 1)
        return etag

    def empty(self, bucket):
        with self._lock:
            self._buckets[bucket].clear()

    def objects(self, bucket):
        """key -> (ETag, object, number of PUTs)"""
        with self._lock:
            return dict(self._buckets.get(bucket, {}))


class ScriptedBucket:
    """As harness.store.Bucket, of what the judge needs."""

    def __init__(self, store, name):
        self.name = name
        self._store = store

    def keep_versions(self):
        self._store.make_bucket(self.name)

    def empty(self):
        self._store.empty(self.name)

    def etags(self):
        return {key: etag for key, (etag, _, _) in self._store.objects(self.name).items()}

    def read(self, key):
        found = self._store.objects(self.name).get(key)
        return found[1] if found else None

    def surplus_versions(self):
        return sum(puts - 1 for _, _, puts in self._store.objects(self.name).values())


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that go away are what this is for


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.store = self.server.store
        self.store.count_connection()

    def log_message(self, *_):
        pass

    def do_PUT(self):
        request = self._request()
        answer = self.store.answer_to(request) or Answer()
        if answer.manner == "reset":
            self._reset()
            return
        body = self.rfile.read(request.size)
        try:
            self._verify(body)
            etag = None
            if not request.key:
                if not answer.status:
                    self.store.make_bucket(request.bucket)
            elif answer.keeps or not answer.status:
                etag = self.store.put(request, body, self.headers)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.code)
        if answer.status:
            self._send(answer, answer.status, self._error(answer), answer.headers)
        else:
            self._send(answer, 200, answer.body or b"", self._proof(etag) if etag else ())

    def _proof(self, etag):
        checksum = self.headers.get(_CHECKSUM)
        return [("ETag", f'"{etag}"'), *([(_CHECKSUM, checksum)] if checksum else [])]

    def do_GET(self):
        request = self._request()
        answer = self.store.answer_to(request) or Answer()
        try:
            self._verify(b"")
            if not self.store.has_bucket(request.bucket):
                raise Refusal(404, "NoSuchBucket")
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.code)
        if answer.status:
            self._send(answer, answer.status, self._error(answer), answer.headers)
        else:
            self._send(answer, 200, b"<LocationConstraint></LocationConstraint>")

    def _request(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        bucket, _, key = path.lstrip("/").partition("/")
        size = int(self.headers.get("Content-Length", 0))
        return Request(self.command, bucket, key, size, time.monotonic())

    # Answers.

    def _error(self, answer):
        if answer.body is not None:
            return answer.body
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{answer.code}</Code><Message>scripted</Message>"
            "<RequestId>1</RequestId></Error>"
        ).encode()

    def _send(self, answer, status, body, headers=()):
        head = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}",
                f"Date: {email.utils.formatdate(self.store.now(), usegmt=True)}",
                *(f"{name}: {value}" for name, value in headers)]  # fmt: skip
        whole = "\r\n".join(head).encode() + b"\r\n\r\n" + body
        {
            "whole": lambda: self.wfile.write(whole),
            "none": self._close,
            "half": lambda: self._close(whole[: len(whole) // 2]),
            "drip": lambda: self._drip(whole.replace(b"Length: ", b"Length: 9999999", 1)),
            "raw": lambda: self._close(body),
            "closing": lambda: self._close(whole),
            "continuing": lambda: self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + whole),
            "reset": self._reset,
        }[answer.manner]()

    def _close(self, last_words=b""):
        self.wfile.write(last_words)
        self.close_connection = True

    def _reset(self):
        """To a client that still sends its body."""
        linger_for_no_time = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
        self.close_connection = True

    def _drip(self, beginning):
        """Ends when the client has enough of it."""
        self.close_connection = True
        self.wfile.write(beginning)
        while self.store.running and not self._client_has_gone():
            self.wfile.write(b"x")
            time.sleep(_DRIP)

    def _client_has_gone(self):
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.setblocking(True)

    # AWS Signature, version 4.

    def _verify(self, body):
        match = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if not match:
            raise Refusal(403, "AccessDenied")
        access_key, scope, signed_names, signature = match.groups()
        if access_key != self.store.access_key:
            raise Refusal(403, "InvalidAccessKeyId")
        self._verify_date(scope)
        claimed = self.headers["x-amz-content-sha256"]
        if not hmac.compare_digest(signature, self._signature(scope, signed_names, claimed)):
            raise Refusal(403, "SignatureDoesNotMatch")
        if claimed not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            raise Refusal(400, "XAmzContentSHA256Mismatch")
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if self.headers.get(_CHECKSUM, checksum) != checksum:
            raise Refusal(400, "XAmzContentChecksumMismatch")

    def _verify_date(self, scope):
        stamp = self.headers.get("x-amz-date", "")
        try:
            date = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        except ValueError:
            raise Refusal(403, "AccessDenied") from None
        if abs(date.timestamp() - self.store.now()) > _MAX_SKEW:
            raise Refusal(403, "RequestTimeTooSkewed")
        if scope.split("/")[0] != stamp[:8]:
            raise Refusal(403, "SignatureDoesNotMatch")

    def _signature(self, scope, signed_names, payload_hash):
        path, _, query = self.path.partition("?")
        names = signed_names.split(";")
        if "host" not in names or "x-amz-date" not in names:
            raise Refusal(403, "AccessDenied")
        canonical = "\n".join(
            [
                self.command,
                path,
                "&".join(sorted(query.split("&"))),
                *(f"{name}:{' '.join(self.headers.get(name, '').split())}" for name in names),
                "",
                signed_names,
                payload_hash,
            ]
        )
        to_sign = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                self.headers["x-amz-date"],
                scope,
                hashlib.sha256(canonical.encode("latin-1")).hexdigest(),
            ]
        )
        key = b"AWS4" + self.store.secret_key.encode()
        for part in [*scope.split("/"), to_sign]:
            key = hmac.new(key, part.encode(), "sha256").digest()
        return key.hex()
