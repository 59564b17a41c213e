#!/usr/bin/python3 -SE
"""Exit 0 if Jupyter answers on its configured port and base URL, else 1.

The check runs every few seconds, so it uses a plain socket: importing `http.client` would triple its cost.
"""

import os
import socket
import sys
from contextlib import ExitStack

port = int(os.environ.get("JUPYTER_PORT") or 8888)
base = os.environ.get("JUPYTER_BASE_URL", "").strip("/")
path = f"/{base}/api" if base else "/api"  # needs no token, returns only the version

try:
    with ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=3))
        if os.access("/run/secrets/tls.crt", os.F_OK):
            import ssl

            # The check is only whether the lab answers; browsers verify its certificate.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = opened.enter_context(context.wrap_socket(connection))
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = connection.recv(64).split(b" ")[1:2]
except OSError as error:
    sys.exit(f"no answer on port {port}: {error}")
if status != [b"200"]:
    sys.exit(f"unexpected response to {path} on port {port}: not Jupyter's")
