"""Log formatter of the lab's server: Jupyter's format, with the token redacted.

Jupyter redacts the token in the log line of a request, but not in the output about a failed request: the request in a
traceback, a path with `%3Ftoken=`, the referring page.
"""

import os
import re

from tornado.log import LogFormatter

# The token, where each character may be percent-encoded once or repeatedly.
TOKEN = re.compile(
    "".join(f"(?:{re.escape(char)}|%(?:25)*{ord(char):02x})" for char in os.environ.get("JUPYTER_TOKEN", "")) or "(?!)",
    re.IGNORECASE,
)
# A `token` parameter, also in a URL inside another URL, where `=` is `%3D`, `%253D` and so on. Its value ends at `&` or
# `#`, which may be encoded in the same way.
ASSIGNED = re.compile(r"(token(?:=|%(?:25)*3D))(?:[^\s&'\"#;,()%]|%(?!(?:25)*2[36]))+", re.IGNORECASE)


class Formatter(LogFormatter):
    """Formats log lines and tracebacks."""

    def format(self, record):
        """Redact the token everywhere, and the value of every `token` parameter."""
        return ASSIGNED.sub(r"\1[secret]", TOKEN.sub("[secret]", super().format(record)))
