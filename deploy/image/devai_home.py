"""A part of the lab's server: its whole home as one archive, out (GET) and in (PUT), for who has the token.

What is mounted into the home, such as a person's own folder at ~/work, is not of it.
"""

import asyncio
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated, stream_request_body

HOME = Path.home()
# More than the server takes of other requests: a home has any size, and is never in memory as a whole.
LONGEST = 1 << 50
PIECE = 1 << 18


@stream_request_body
class Home(JupyterHandler):
    """The home as a compressed tar archive."""

    async def prepare(self):
        """Begin to take in what a PUT sends; nobody without the token gets as far as that."""
        await super().prepare()
        self.tar = None
        if self.request.method == "PUT":
            if not self.current_user:
                raise HTTPError(403)
            self.request.connection.set_max_body_size(LONGEST)
            self.tar = await _tar("--extract", "--gzip", "--no-same-owner", stdin=asyncio.subprocess.PIPE)

    async def data_received(self, chunk):
        """Hand on what comes, no faster than it is taken."""
        if self.tar is None:
            raise HTTPError(405)
        try:
            self.tar.stdin.write(chunk)
            await self.tar.stdin.drain()
        except ConnectionError:
            raise HTTPError(400, log_message=await _words(self.tar)) from None

    @authenticated
    async def put(self):
        """Finish what has been taken in."""
        self.tar.stdin.close()
        words = await _words(self.tar)
        if await self.tar.wait():
            raise HTTPError(400, log_message=words, reason="not an archive of a home, or no room")
        self.set_status(204)

    @authenticated
    async def get(self):
        """Give out all files, as they are at this moment."""
        left_out = {".cache", *_mounted()}
        # Not the home itself: as a volume it belongs to somebody else, who alone could give it a mode again.
        names = [f"./{entry.name}" for entry in sorted(HOME.iterdir()) if entry.name not in left_out]
        options = [f"--exclude=./{name}" for name in sorted(left_out)]
        tar = await _tar("--create", "--gzip", *options, "--", *names, stdout=asyncio.subprocess.PIPE)
        self.set_header("Content-Type", "application/gzip")
        try:
            while piece := await tar.stdout.read(PIECE):
                self.write(piece)
                await self.flush()
        except BaseException:
            tar.kill()
            raise
        words = await _words(tar)
        if await tar.wait() > 1:  # 1: a file changed while it was read
            self.log.error("tar: %s", words)
            self.request.connection.stream.close()  # the caller must not take it for whole

    def on_connection_close(self):
        """End tar with the request that it works for."""
        if self.tar is not None and self.tar.returncode is None:
            self.tar.kill()


def _mounted():
    """What is mounted into the home, as proc(5) describes the file; a space in it is an octal number."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    inside = [Path(point.replace("\\040", " ")) for point in mounts]
    return [str(point.relative_to(HOME)) for point in inside if HOME in point.parents]


async def _tar(*options, **pipes):
    return await asyncio.create_subprocess_exec(
        "tar", f"--directory={HOME}", *options, stderr=asyncio.subprocess.PIPE, **pipes
    )


async def _words(tar):
    return (await tar.stderr.read()).decode(errors="replace")[-2000:]


def _load_jupyter_server_extension(server):
    path = url_path_join(server.web_app.settings["base_url"], "devai/home.tar.gz")
    server.web_app.add_handlers(".*$", [(path, Home)])


def _jupyter_server_extension_points():
    return [{"module": "devai_home"}]
