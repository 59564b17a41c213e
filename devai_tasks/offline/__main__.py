"""Serve provider schema snapshots to Terraform: `python -m devai_tasks.offline FOLDER SNAPSHOT...`.

One process serves all providers, each on a Unix socket in FOLDER, until standard input is closed. The first line of
output is the value of TF_REATTACH_PROVIDERS, with which Terraform connects to these providers and installs none.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from tf.gen import grpc_controller_pb2 as controller
from tf.gen import grpc_controller_pb2_grpc as controller_rpc
from tf.gen import grpc_stdio_pb2_grpc as stdio_rpc
from tf.gen import tfplugin_pb2_grpc as rpc

from devai_tasks.offline.provider import Provider
from devai_tasks.offline.recording import Snapshot, read


class _Controller(controller_rpc.GRPCControllerServicer):  # type: ignore[misc] # generated without types
    """Service that Terraform calls to stop a provider."""

    def Shutdown(self, request: Any, context: Any) -> Any:
        """Ignore the call: the parent process stops this process."""
        return controller.Empty()


class _Output(stdio_rpc.GRPCStdioServicer):  # type: ignore[misc] # likewise
    """Service that streams a provider's output to Terraform."""

    def StreamStdio(self, request: Any, context: Any) -> Any:
        """Return an empty stream: the provider prints nothing."""
        return iter(())


def serve(snapshot: Snapshot, socket: Path) -> grpc.Server:
    """Start a server for one provider."""
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), options=unlimited)
    rpc.add_ProviderServicer_to_server(Provider(snapshot), server)
    controller_rpc.add_GRPCControllerServicer_to_server(_Controller(), server)
    stdio_rpc.add_GRPCStdioServicer_to_server(_Output(), server)
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    return server


def main(folder: str, *snapshots: str) -> None:
    """Serve until standard input is closed, which happens at the latest when the parent process ends."""
    addresses, servers = {}, []
    for snapshot in map(read, map(Path, snapshots)):
        socket = Path(folder, f"{snapshot.name}.sock")
        servers.append(serve(snapshot, socket))
        addresses[snapshot.source] = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "unix", "String": str(socket)},
        }
    sys.stdout.write(f"{json.dumps(addresses)}\n")
    sys.stdout.flush()
    sys.stdin.read()
    for server in servers:
        server.stop(grace=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
