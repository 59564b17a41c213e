"""Extension of the lab's server: refuses requests for other host names than the lab's.

Otherwise a web page whose host name resolves to the lab (DNS rebinding) would have the lab's origin in a browser.
IP addresses can't be rebound, so all are allowed: health checks and port forwarding use them.
"""

import ipaddress
import os

from tornado.log import gen_log
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler


class Foreign(Matcher):
    """Matches requests for a host name that is not the lab's."""

    def __init__(self, names):
        """Set the allowed host names; a name with a leading dot allows all names in that domain."""
        self._names = {"localhost", ".localhost", *names}

    def match(self, request):
        """Return tornado's arguments for the handler if the request matches, else None."""
        host = request.host_name.rstrip(".")
        return None if _is_address(host) or self._names & {host, *_domains(host)} else {}


class Refused(RequestHandler):
    """Responds with 403 to every method."""

    def prepare(self):
        """Respond before tornado checks the method."""
        gen_log.warning("refused: host %r is not an allowed host name of this lab", self.request.host_name)
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish("host name not allowed; add it to `network.allowed_hosts` in conf/\n")


def _is_address(host):
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _domains(host):
    """Return the domains that contain a host, each with a leading dot."""
    labels = host.split(".")[1:]
    return {f".{'.'.join(labels[index:])}" for index in range(len(labels))}


def _load_jupyter_server_extension(server):
    # Unset if the platform assigns the names, so that they are unknown in advance.
    names = os.environ.get("JUPYTER_ALLOWED_HOSTS")
    if names is not None:
        # The first rule of the router, so that it covers pages, files, APIs and websockets.
        server.web_app.default_router.rules.insert(0, Rule(Foreign(names.split()), Refused))


def _jupyter_server_extension_points():
    return [{"module": "devai_hosts"}]
