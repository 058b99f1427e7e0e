"""What may stand at the store's address: the store itself, or somebody else who answers for it."""

import contextlib
import hashlib
import threading
from collections import Counter
from dataclasses import dataclass

from harness.acceptor import shut
from harness.wire import Wire

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict  # names in lower case
    body: bytes

    @property
    def is_upload(self):
        """Of an object, not of a bucket."""
        return self.method == "PUT" and "/" in self.target.lstrip("/")

    @property
    def md5(self):
        return hashlib.md5(self.body).hexdigest()


def answer(status=200, body=b"", **headers):
    """As HTTP has it. Names of headers with `_` for `-`; a list gives several of one name."""
    lines = [f"HTTP/1.1 {status} Impostor"]
    if "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            lines.append(f"{name.replace('_', '-')}: {value}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Impostor(Wire):
    """Passes everything to the store, but while it is told to answer itself.

    `says(request)` gives the bytes of the answer, or an iterator over parts of one without an end.
    After an iterator the connection is closed.
    """

    def __init__(self, store_port):
        self._says = None
        self._reads_bodies = True
        self.requests = Counter()  # that it answered itself, by method
        self.uploads = 0  # of objects, among them
        self._guests = set()
        super().__init__(store_port)

    @contextlib.contextmanager
    def saying(self, says, reads_bodies=True):
        """Whoever is connected when it changes must come again."""
        self._says = says
        self._reads_bodies = reads_bodies
        self.requests.clear()
        self.uploads = 0
        self.cut()
        try:
            yield self
        finally:
            self._says = None
            self.hang_up()

    def hang_up(self):
        for guest in list(self._guests):
            shut(guest)

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.hang_up()

    def admit(self, client):
        if self._says is None:
            super().admit(client)
        else:
            self.accepted += 1
            self._guests.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client.makefile("rb") as stream:
                while (says := self._says) and (request := _read(stream, self._reads_bodies)):
                    self.requests[request.method] += 1
                    self.uploads += request.is_upload
                    said = says(request)
                    if isinstance(said, bytes):
                        client.sendall(said)
                        continue
                    for part in said:
                        client.sendall(part)
                    return
        except OSError:
            pass  # the client has enough of it
        finally:
            self._guests.discard(client)
            shut(client)


def _read(stream, reads_body):
    line = stream.readline(_BLOCK).split()
    if len(line) != 3:
        return None
    headers = {}
    while (header := stream.readline(_BLOCK).strip()):
        name, _, value = header.partition(b":")
        headers[name.decode().lower()] = value.strip().decode()
    body = stream.read(int(headers.get("content-length", 0))) if reads_body else b""
    return Request(line[0].decode(), line[1].decode(), headers, body)
