"""A fake of Amazon Web Services: moto's server. The command line and the SDK that use it are Amazon's own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.prerequisites import skip_or_fail
from harness.registry import free_port


@contextmanager
def running(account: str = "123456789012") -> Iterator[str]:
    """Run the services of one account; yield the URL for AWS_ENDPOINT_URL."""
    program = Path(sys.executable).with_name("moto_server")
    if not program.exists():
        skip_or_fail("moto_server is not installed: nox -s registry")
    port = free_port()
    environ = os.environ | {"MOTO_ACCOUNT_ID": account}
    with subprocess.Popen(
        [program, f"-p{port}"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
