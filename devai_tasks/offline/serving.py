"""The provider that stands in for the clouds' own: a process of its own, for as long as Terraform needs it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError

_NEEDED = ("grpc", "msgpack", "tf")


@contextmanager
def serving(recordings: Sequence[Path]) -> Iterator[str]:
    """Serve recorded providers; yields the value of TF_REATTACH_PROVIDERS.

    Raises MissingToolError without the packages of the extra `offline`, ToolError where it doesn't start.
    """
    if not all(find_spec(name) for name in _NEEDED):
        raise MissingToolError(
            "the packages of the offline provider are not installed", hint="`pip install devai-tasks[offline]`"
        )
    options = process.Options(
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        own_session=True,  # Ctrl-C is Terraform's, which goes on talking to its providers
    )
    # A socket's path may have 107 characters at most (unix(7)): not below the project, which may lie deep.
    with tempfile.TemporaryDirectory(prefix="devai-") as folder:
        argv = [sys.executable, "-P", "-m", "devai_tasks.offline", folder, *map(str, recordings)]
        with process.beside(argv, stdin=process.PIPE, stderr=None, options=options) as provider:
            assert provider.stdin  # noqa: S101 - a pipe
            assert provider.stdout  # noqa: S101 - the same
            try:
                addresses = provider.stdout.readline().strip()
                if not addresses:
                    raise ToolError("the provider of recorded schemas did not start", hint="its output above says why")
                yield addresses
            finally:
                provider.stdin.close()  # its sign to end
                provider.wait()
