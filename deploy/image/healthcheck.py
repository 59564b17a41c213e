#!/usr/bin/python3 -SE
"""Exit 0 when Jupyter answers on the port and base URL that it was given, else 1.

It runs every few seconds, so it asks over a plain socket: `http.client` alone would triple its cost.
"""

import os
import socket
import sys
from contextlib import ExitStack

port = int(os.environ.get("JUPYTER_PORT") or 8888)
base = os.environ.get("JUPYTER_BASE_URL", "").strip("/")
path = f"/{base}/api" if base else "/api"  # needs no token, tells only the version

try:
    with ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=3))
        if os.access("/run/secrets/tls.crt", os.F_OK):
            import ssl

            # Whether it answers is the question; who it is, a browser asks.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = opened.enter_context(context.wrap_socket(connection))
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = connection.recv(64).split(b" ")[1:2]
except OSError as error:
    sys.exit(f"no answer from port {port}: {error}")
if status != [b"200"]:
    sys.exit(f"{path} on port {port} does not answer as Jupyter does")
