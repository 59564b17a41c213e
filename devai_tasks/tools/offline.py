"""The provider that stands in for the clouds' own: a process of its own, for as long as Terraform needs it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from devai_tasks.system.errors import MissingToolError, ToolError

_NEEDED = ("grpc", "msgpack", "tf")


@contextmanager
def serving(recordings: Sequence[Path]) -> Iterator[str]:
    """Serve recorded providers; what it yields is the value of TF_REATTACH_PROVIDERS.

    Raises MissingToolError without the packages of the extra `offline`, ToolError where it doesn't start.
    """
    if not all(find_spec(name) for name in _NEEDED):
        raise MissingToolError("--offline needs the provider's packages: `pip install devai-tasks[offline]`")
    # A socket's path may have 107 characters at most (unix(7)): not below the project, which may lie deep.
    with tempfile.TemporaryDirectory(prefix="devai-") as folder:
        process = subprocess.Popen(  # noqa: S603 - this Python, with a module of ours
            [sys.executable, "-P", "-m", "devai_tasks.offline", folder, *map(str, recordings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is Terraform's, which goes on talking to its providers
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        )
        assert process.stdin  # noqa: S101 - a pipe
        assert process.stdout  # noqa: S101 - the same
        try:
            addresses = process.stdout.readline().strip()
            if not addresses:
                raise ToolError("the provider of recorded schemas did not start; it says why above")
            yield addresses
        finally:
            process.stdin.close()  # its sign to end
            process.wait()
            process.stdout.close()
