"""Serve recordings to Terraform: `python -m devai_tasks.offline FOLDER RECORDING...`, until standard input ends.

One process serves all providers, each on a Unix socket in FOLDER. What it prints first is the value of
TF_REATTACH_PROVIDERS, by which Terraform finds them and installs none.
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
from devai_tasks.offline.recording import Recording, read


class _Controller(controller_rpc.GRPCControllerServicer):  # type: ignore[misc] # generated without types
    """What Terraform calls to end a provider."""

    def Shutdown(self, request: Any, context: Any) -> Any:
        """Go on: who started this ends it."""
        return controller.Empty()


class _Output(stdio_rpc.GRPCStdioServicer):  # type: ignore[misc] # the same
    """Where Terraform asks for what a provider prints."""

    def StreamStdio(self, request: Any, context: Any) -> Any:
        """Nothing is printed."""
        return iter(())


def serve(recording: Recording, socket: Path) -> grpc.Server:
    """A server for one provider, started."""
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), options=unlimited)
    rpc.add_ProviderServicer_to_server(Provider(recording), server)
    controller_rpc.add_GRPCControllerServicer_to_server(_Controller(), server)
    stdio_rpc.add_GRPCStdioServicer_to_server(_Output(), server)
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    return server


def main(folder: str, *recordings: str) -> None:
    """Serve until standard input ends, which it does with whoever started this."""
    addresses, servers = {}, []
    for recording in map(read, map(Path, recordings)):
        socket = Path(folder, f"{recording.name}.sock")
        servers.append(serve(recording, socket))
        addresses[recording.source] = {
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
