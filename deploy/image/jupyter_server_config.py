"""Jupyter in the container. A person's own ~/.jupyter/jupyter_server_config.py is stronger than this file."""

import hashlib
import hmac
import os
import sys
from pathlib import Path

from jupyter_server.auth.identity import PasswordIdentityProvider

c = get_config()  # noqa: F821 (Jupyter puts it here)


class TokenRequired(PasswordIdentityProvider):
    """Who knows the token may enter; without one the server stays off."""

    def validate_security(self, app, ssl_options=None):
        """Refuse to start open, or with a token that only the log knows."""
        if self.token_generated or not self.token:
            print("JUPYTER_TOKEN is empty: the lab does not start without a token", file=sys.stderr)
            sys.exit(2)
        super().validate_security(app, ssl_options)
        # A notebook that prints its environment is often shared.
        os.environ.pop("JUPYTER_TOKEN", None)

    def cookie_secret_hook(self, _):
        """Sign cookies by the token: another container and every replica take them, a new token ends all sessions."""
        return super().cookie_secret_hook(self._derived(b"cookie secret"))

    def get_cookie_name(self, _):
        """Name the cookie after the token: to a browser, the labs on all ports of a host share their cookies."""
        return self.cookie_name or f"devai-{self._derived(b'cookie name').hexdigest()[:16]}"

    def _derived(self, purpose):
        """Return a key for one purpose, which tells nothing of the token or of other keys."""
        return hmac.new(os.fsencode(self.token), purpose, hashlib.sha256)


home = Path.home()

c.ServerApp.identity_provider_class = TokenRequired
c.ServerApp.ip = "0.0.0.0"  # inside the container; what reaches it, the engine decides
c.ServerApp.port = int(os.environ.get("JUPYTER_PORT") or 8888)
c.ServerApp.port_retries = 0  # another port would be one that nobody publishes
c.ServerApp.base_url = os.environ.get("JUPYTER_BASE_URL") or "/"
# Other pages may link to the lab, and send it nothing in its user's name.
c.IdentityProvider.cookie_options = {"samesite": "Lax"}
c.ServerApp.tornado_settings = {"xsrf_cookie_kwargs": {"path": c.ServerApp.base_url, "samesite": "Lax"}}
# As the browser sees it, for what Jupyter prints.
c.ServerApp.custom_display_url = os.environ.get("JUPYTER_DISPLAY_URL") or ""
if (certificate := Path("/run/secrets/tls.crt")).exists():
    c.ServerApp.certfile = str(certificate)
    c.ServerApp.keyfile = str(certificate.with_suffix(".key"))
c.ServerApp.root_dir = str(home)
c.ServerApp.open_browser = False
c.ServerApp.terminals_enabled = True
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}  # not as login shell: /etc/profile would reset PATH
# Root only where the caller asked for it: the entrypoint drops to the account otherwise.
c.ServerApp.allow_root = True
# Seconds; 0 is never. Whoever has the page open keeps no kernel alive by that.
c.MappingKernelManager.cull_idle_timeout = int(os.environ.get("JUPYTER_IDLE_TIMEOUT") or 0)
c.MappingKernelManager.cull_interval = max(1, min(60, c.MappingKernelManager.cull_idle_timeout // 2))
c.MappingKernelManager.cull_connected = True
if (home / "work").is_dir():
    c.FileContentsManager.preferred_dir = "work"
# Of widgets that a person installed: see the entrypoint.
c.LabApp.extra_labextensions_path = [str(home / ".venv/share/jupyter/labextensions")]

# What lies beside this file: the home as one archive, for `inv data.backup`; the check of hosts; the log.
sys.path.append("/etc/jupyter")
c.ServerApp.jpserver_extensions = {"devai_home": True, "devai_hosts": True}
c.Application.logging_config = {"formatters": {"console": {"class": "devai_log.Formatter"}}}

# Nothing here calls out on its own.
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
