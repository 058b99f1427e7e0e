"""TLS before a server that has none, as a load balancer or stunnel puts it there."""

import socket
import ssl
import threading

from harness.acceptor import Acceptor, shut

_CHUNK = 1 << 16


class TlsFront(Acceptor):
    """Passes what comes over TLS to a port of the loopback, and back."""

    def __init__(self, server_port, context):
        self.context = context  # of the connections to come
        self._server_port = server_port
        super().__init__("tls-front")

    def admit(self, client):
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw):
        try:
            client = self.context.wrap_socket(raw, server_side=True)
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            shut(raw)
            return
        # Python's TLS sockets may be read and written at a time by two threads, not more.
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)
        back.join()
        shut(client)
        shut(server)


def _pass_on(source, target):
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except (OSError, ssl.SSLError):
        pass
    shut(target)
