"""Extension of the lab's server: backs up and restores the home as one archive, for anyone with the token.

`GET devai/home.tar.gz` returns the archive, `PUT devai/restore` restores one. Folders that are mounted into the home,
such as the user's folder at ~/work, are not part of the archive.
"""

import asyncio
import json
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import devai_restore
from devai_archive import RESERVED_NAME
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated, stream_request_body

HOME = Path.home().resolve()
# Larger than the server's limit for other requests: a home may have any size, and is never held in memory as a whole.
MAX_BYTES = 1 << 50
CHUNK_BYTES = 1 << 18
# An upload that sends no data for this long is canceled: a client that is suspended would block all other restores.
STALLED_SECONDS = 300


class Handler(JupyterHandler):
    """Handler that requires the token; without it, the response is 403 instead of a redirect to the login page."""

    async def prepare(self):
        """Refuse a request without the token."""
        await super().prepare(_redirect_to_login=False)
        if not self.current_user:
            raise HTTPError(403)


class Backup(Handler):
    """The home as a compressed tar archive."""

    @authenticated
    async def get(self):
        """Send all files in their current state."""
        mounted = sorted("/".join(names) for names in devai_restore.mounts(HOME))
        left_out = {".cache", *mounted}
        # Without the home itself: as a volume it may have another owner, and only the owner can restore its mode.
        names = sorted(entry.name for entry in HOME.iterdir())
        names = [name for name in names if name not in left_out and not name.startswith(RESERVED_NAME)]
        tar = await asyncio.create_subprocess_exec(
            "tar", f"--directory={HOME}", "--create", "--gzip", "--anchored", "--no-wildcards",
            *(f"--exclude=./{name}" for name in left_out), "--", *(f"./{name}" for name in names),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.set_header("Content-Type", "application/gzip")
        self.set_header("Devai-Mounts", ", ".join(map(quote, mounted)))
        try:
            while chunk := await tar.stdout.read(CHUNK_BYTES):
                self.write(chunk)
                await self.flush()
        except BaseException:
            tar.kill()
            raise
        if await tar.wait() not in {0, 1}:  # 1: a file changed while it was read
            self.log.error("tar: exit code %s", tar.returncode)
            self.request.connection.stream.close()  # so that the client detects the incomplete archive


@stream_request_body
class Restore(Handler):
    """Restores an uploaded archive, in a separate process that runs devai_restore."""

    async def prepare(self):
        """Start the process that restores the archive."""
        self.worker = self.alarm = None
        self.is_received = False
        await super().prepare()
        if self.request.method != "PUT":
            raise HTTPError(405)
        self.request.connection.set_max_body_size(MAX_BYTES)
        self.worker = await asyncio.create_subprocess_exec(
            sys.executable, "-E", "-s", "-S", devai_restore.__file__, str(HOME),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._watch()

    async def data_received(self, chunk):
        """Pass a chunk to the process, no faster than the process reads."""
        self._watch(stop=True)
        try:
            self.worker.stdin.write(chunk)
            await self.worker.stdin.drain()
        except ConnectionError:
            await self.put()  # the process has refused the archive
        else:
            self._watch()

    @authenticated
    async def put(self):
        """Wait for the process, and respond with its report."""
        if self.is_received:
            return
        self.is_received = True
        self._watch(stop=True)
        self.worker.stdin.close()
        output = await self.worker.stdout.read()
        code = await self.worker.wait()
        report = (
            json.loads(output) if code == 0 else {"status": 500, "message": f"restore failed with exit code {code}"}
        )
        self.set_status(report.pop("status", 200))
        self.finish(report)

    def _watch(self, *, stop=False):
        """Restart the timer that closes a stalled connection, or stop the timer."""
        if self.alarm is not None:
            self.alarm.cancel()
        close = self.request.connection.stream.close
        self.alarm = None if stop else asyncio.get_running_loop().call_later(STALLED_SECONDS, close)

    def on_connection_close(self):
        """Remove the files of an interrupted upload; a complete upload is still restored."""
        super().on_connection_close()
        self._watch(stop=True)
        if self.worker is not None and not self.is_received:
            self.task = asyncio.ensure_future(_stop(self.worker))


async def _stop(worker):
    with suppress(ProcessLookupError):
        worker.kill()
    await worker.wait()
    await asyncio.to_thread(devai_restore.clean, HOME)


def _load_jupyter_server_extension(server):
    # In the background, because it can take minutes on a network file system.
    threading.Thread(target=devai_restore.clean, args=(HOME,), daemon=True).start()
    base = server.web_app.settings["base_url"]
    handlers = {"devai/home.tar.gz": Backup, "devai/restore": Restore}
    server.web_app.add_handlers(".*$", [(url_path_join(base, path), handler) for path, handler in handlers.items()])


def _jupyter_server_extension_points():
    return [{"module": "devai_home"}]
