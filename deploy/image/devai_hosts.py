"""A part of the lab's server: it answers under its own names only.

A web page whose name is made to lead to the lab (DNS rebinding) would otherwise be of the lab's origin to a browser. An
IP address can't be rebound, so each is fine: health checks and port forwarding use them.
"""

import ipaddress
import os

from tornado.log import gen_log
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler


class Foreign(Matcher):
    """Requests for a host that is none of the lab's."""

    def __init__(self, names):
        """Take host names; one that begins with a dot is a domain, with all names in it."""
        self._names = {"localhost", ".localhost", *names}

    def match(self, request):
        """Match, as tornado wants it said, by a map of arguments for the handler."""
        host = request.host_name.rstrip(".")
        return None if _is_address(host) or self._names & {host, *_domains(host)} else {}


class Refused(RequestHandler):
    """The answer to them, whatever they ask."""

    def prepare(self):
        """Answer before any method is looked at."""
        gen_log.warning("refused: Host %r is no name of this lab", self.request.host_name)
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish("The lab does not answer under this host name; `network.allowed_hosts` in conf/ adds it.\n")


def _is_address(host):
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _domains(host):
    """The domains that a host is in, each with its dot."""
    labels = host.split(".")[1:]
    return {f".{'.'.join(labels[index:])}" for index in range(len(labels))}


def _load_jupyter_server_extension(server):
    # Unset where nobody knows the names before the platform gives them.
    names = os.environ.get("JUPYTER_ALLOWED_HOSTS")
    if names is not None:
        # Before all else that anyone adds: pages, files, APIs and websockets alike.
        server.web_app.default_router.rules.insert(0, Rule(Foreign(names.split()), Refused))


def _jupyter_server_extension_points():
    return [{"module": "devai_hosts"}]
