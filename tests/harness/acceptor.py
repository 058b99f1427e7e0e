"""What all servers of the harness's own begin with."""

import socket
import threading

from harness.ports import free_port


class Acceptor:
    """Accepts connections on a free port of the loopback, each handed to admit(), until it is left.

    A subclass calls this constructor last: connections may come from then on.
    """

    def __init__(self, name):
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, name=name, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shut(self._listener)

    def admit(self, client):
        """On the accepting thread, which the next connection waits for."""
        raise NotImplementedError

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.admit(client)


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
