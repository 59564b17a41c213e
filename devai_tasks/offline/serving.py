"""Process of the offline provider, which replaces the clouds' providers while Terraform runs."""

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
def serving(snapshots: Sequence[Path]) -> Iterator[str]:
    """Serve snapshots of providers; yield the value of TF_REATTACH_PROVIDERS.

    Args:
        snapshots: files of the snapshots.

    Raises:
        MissingToolError: packages of the extra `offline` are missing.
        ToolError: the process does not start.
    """
    if not all(find_spec(name) for name in _NEEDED):
        raise MissingToolError(
            "the packages of the offline provider are not installed", hint="`pip install devai-tasks[offline]`"
        )
    options = process.Options(
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        own_session=True,  # on Ctrl-C, Terraform continues to use its providers until it exits
    )
    # A socket's path is limited to 107 characters (unix(7)), so it is not below the project, whose path may be long.
    with tempfile.TemporaryDirectory(prefix="devai-") as folder:
        argv = [sys.executable, "-P", "-m", "devai_tasks.offline", folder, *map(str, snapshots)]
        with process.beside(argv, stdin=process.PIPE, stderr=None, options=options) as provider:
            assert provider.stdin  # noqa: S101 - a pipe
            assert provider.stdout  # noqa: S101 - likewise
            try:
                addresses = provider.stdout.readline().strip()
                if not addresses:
                    raise ToolError("the offline provider did not start", hint="see its output above")
                yield addresses
            finally:
                provider.stdin.close()  # signals the process to exit
                provider.wait()
