"""Toxiproxy: lines to a service that can be cut, slowed down, or made to swallow what is sent."""

import contextlib
import http.client
import json

from harness.ports import accepts_connections, free_port
from harness.programs import obtained
from harness.service import Service


class Toxiproxy(Service):
    def __init__(self, folder, name="toxiproxy"):
        super().__init__(name, folder)
        self._api_port = free_port()

    def command(self):
        binary = obtained("TOXIPROXY_BIN", "toxiproxy")
        return [binary, "-host", "127.0.0.1", "-port", self._api_port]

    def is_up(self):
        return accepts_connections(self._api_port)

    def line_to(self, port):
        """A new line to that port of the loopback."""
        line = Line(self, free_port())
        self.call("POST", "/proxies", name=line.name, listen=line.address,
                  upstream=f"127.0.0.1:{port}", enabled=True)  # fmt: skip
        return line

    def call(self, method, path, **document):
        connection = http.client.HTTPConnection("127.0.0.1", self._api_port, timeout=10)
        try:
            connection.request(method, path, json.dumps(document) if document else None)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, f"{method} {path} gave {answer.status}: {text!r}"
        finally:
            connection.close()


class Line:
    """One proxied address. Its faults end with the `with` that began them."""

    def __init__(self, proxy, port):
        self._proxy = proxy
        self.name = f"line-{port}"
        self.address = f"127.0.0.1:{port}"

    @contextlib.contextmanager
    def cut(self):
        """Open connections are closed, new ones refused."""
        self._proxy.call("POST", f"/proxies/{self.name}", enabled=False)
        try:
            yield
        finally:
            self._proxy.call("POST", f"/proxies/{self.name}", enabled=True)

    @contextlib.contextmanager
    def toxic(self, kind, stream="upstream", share=1.0, **attributes):
        """One of Toxiproxy's toxics, on what goes to the service (or "downstream", from it).

        It is on that share of the connections. When it ends, Toxiproxy closes those that it held.
        """
        name = f"{kind}-{stream}"
        self._proxy.call("POST", f"/proxies/{self.name}/toxics", name=name, type=kind,
                         stream=stream, toxicity=share, attributes=attributes)  # fmt: skip
        try:
            yield
        finally:
            self._proxy.call("DELETE", f"/proxies/{self.name}/toxics/{name}")
