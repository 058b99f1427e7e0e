"""A real nginx in front of a server, as many a site has it."""

import getpass
import os
import shutil
import signal

from harness.ports import accepts_connections, free_port
from harness.service import Service

_NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


class Nginx(Service):
    """With its defaults, but for headers with underscores, which it drops and signatures cover."""

    def __init__(self, folder, server_port, name="nginx"):
        super().__init__(name, folder)
        self.port = free_port()
        self._server_port = server_port
        self._body_limit = None  # None: its default, 1 MB
        self._config = folder / "nginx.conf"
        assert os.access(_NGINX, os.X_OK), "nginx is not installed"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        self._write_config()
        return [_NGINX, "-p", self.folder, "-c", self._config, "-e", "stderr"]

    def is_up(self):
        return accepts_connections(self.port)

    def raise_body_limit(self, limit):
        """As an operator does: the configuration changed, then reloaded."""
        self._body_limit = limit
        self._write_config()
        self.send_signal(signal.SIGHUP)

    def end(self):
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)  # with its worker, which would stay
        super().end()

    def _write_config(self):
        temporary = "\n".join(
            f"  {kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        limit = f"client_max_body_size {self._body_limit};" if self._body_limit else ""
        self._config.write_text(f"""
user {getpass.getuser()};
daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
  access_log off;
{temporary}
  server {{
    listen {self.address};
    underscores_in_headers on;
    {limit}
    location / {{
      proxy_pass http://127.0.0.1:{self._server_port};
      proxy_set_header Host $http_host;
    }}
  }}
}}
""")
