"""How the lab's server writes its log: as Jupyter does, without the token.

Jupyter itself hides it in the line about a request, but not in what is said of a failing one: the request in a
traceback, a path with `%3Ftoken=`, the page that it came from.
"""

import os
import re

from tornado.log import LogFormatter

# As it is, or with any of its characters percent-encoded, once or more often.
TOKEN = re.compile(
    "".join(f"(?:{re.escape(char)}|%(?:25)*{ord(char):02x})" for char in os.environ.get("JUPYTER_TOKEN", "")) or "(?!)",
    re.IGNORECASE,
)
# Also in an address inside of an address, where `=` is `%3D`, or `%253D`, and so on, and where `&` or `#` ends it so.
ASSIGNED = re.compile(r"(token(?:=|%(?:25)*3D))(?:[^\s&'\"#;,()%]|%(?!(?:25)*2[36]))+", re.IGNORECASE)


class Formatter(LogFormatter):
    """Lines and tracebacks alike."""

    def format(self, record):
        """Replace the token itself wherever it stands, and what was given for it."""
        return ASSIGNED.sub(r"\1[secret]", TOKEN.sub("[secret]", super().format(record)))
