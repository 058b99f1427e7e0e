"""An HTTP proxy between the bridge and the store, as many a plant has one."""

import socket
import threading

from harness.acceptor import Acceptor, shut

_BLOCK = 1 << 16


class ConnectProxy(Acceptor):
    """Opens tunnels (CONNECT), or answers every request with the status that it is told."""

    def __init__(self, refuses_with=None):
        self.requests = []  # request lines
        self._refuses_with = refuses_with
        super().__init__("connect-proxy")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def admit(self, client):
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                block = client.recv(_BLOCK)
                if not block:
                    return
                head += block
            line = head.split(b"\r\n", 1)[0].decode()
            self.requests.append(line)
            method, target, _ = line.split()
            status = self._refuses_with or (200 if method == "CONNECT" else 405)
            if status != 200:
                client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
                return
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()
        except OSError:
            pass
        finally:
            shut(client)


def _pass_on(source, target):
    try:
        while data := source.recv(_BLOCK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
