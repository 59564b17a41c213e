#!/usr/bin/python3 -SE
"""Exit 0 when Jupyter answers on the port and base URL that it was given, else 1.

It runs every few seconds, so it asks over a plain socket: `http.client` alone would triple its cost.
"""

import os
import socket
import sys

port = int(os.environ.get("JUPYTER_PORT") or 8888)
base = os.environ.get("JUPYTER_BASE_URL", "").strip("/")
path = f"/{base}/api" if base else "/api"  # needs no token, tells only the version

try:
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = connection.recv(64).split(b" ")[1:2]
except OSError as error:
    sys.exit(f"no answer from port {port}: {error}")
if status != [b"200"]:
    sys.exit(f"{path} on port {port} does not answer as Jupyter does")
