"""Configuration of Jupyter in the container. The user's ~/.jupyter/jupyter_server_config.py takes precedence."""

import hashlib
import hmac
import os
import sys
from pathlib import Path

from jupyter_server.auth.identity import PasswordIdentityProvider

c = get_config()  # noqa: F821 (defined by Jupyter)


class TokenRequired(PasswordIdentityProvider):
    """Identity provider that requires a token; the server does not start without one."""

    def validate_security(self, app, ssl_options=None):
        """Refuse to start without a token, or with a generated one, which is only in the log."""
        if self.token_generated or not self.token:
            print("JUPYTER_TOKEN is empty; the lab does not start without a token", file=sys.stderr)
            sys.exit(2)
        super().validate_security(app, ssl_options)
        # A notebook that prints its environment may be shared.
        os.environ.pop("JUPYTER_TOKEN", None)

    def cookie_secret_hook(self, _):
        """Derive the cookie secret from the token: all replicas accept a cookie, and a new token ends all sessions."""
        return super().cookie_secret_hook(self._derived(b"cookie secret"))

    def get_cookie_name(self, _):
        """Derive the cookie's name from the token: a browser shares cookies between all ports of a host."""
        return self.cookie_name or f"devai-{self._derived(b'cookie name').hexdigest()[:16]}"

    def _derived(self, purpose):
        """Return a key for one purpose, which reveals neither the token nor the other keys."""
        return hmac.new(os.fsencode(self.token), purpose, hashlib.sha256)


home = Path.home()

c.ServerApp.identity_provider_class = TokenRequired
c.ServerApp.ip = "0.0.0.0"  # inside the container; the engine or cluster decides who can connect
c.ServerApp.port = int(os.environ.get("JUPYTER_PORT") or 8888)
c.ServerApp.port_retries = 0  # another port would not be published
c.ServerApp.base_url = os.environ.get("JUPYTER_BASE_URL") or "/"
# Other sites may link to the lab, but all their other requests are sent without the user's cookies.
c.IdentityProvider.cookie_options = {"samesite": "Lax"}
c.ServerApp.tornado_settings = {"xsrf_cookie_kwargs": {"path": c.ServerApp.base_url, "samesite": "Lax"}}
# The URL as seen by a browser, for Jupyter's log.
c.ServerApp.custom_display_url = os.environ.get("JUPYTER_DISPLAY_URL") or ""
if (certificate := Path("/run/secrets/tls.crt")).exists():
    c.ServerApp.certfile = str(certificate)
    c.ServerApp.keyfile = str(certificate.with_suffix(".key"))
c.ServerApp.root_dir = str(home)
c.ServerApp.open_browser = False
c.ServerApp.terminals_enabled = True
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}  # no login shell: /etc/profile would reset PATH
# The lab runs as root only if the caller requested it; otherwise the entrypoint switches to the account.
c.ServerApp.allow_root = True
# In seconds; 0 means never. An idle kernel is stopped even if its notebook is open in a browser.
c.MappingKernelManager.cull_idle_timeout = int(os.environ.get("JUPYTER_IDLE_TIMEOUT") or 0)
c.MappingKernelManager.cull_interval = max(1, min(60, c.MappingKernelManager.cull_idle_timeout // 2))
c.MappingKernelManager.cull_connected = True
if (home / "work").is_dir():
    c.FileContentsManager.preferred_dir = "work"
# The extensions of widgets that the user installed in the virtual environment (see lab-env).
c.LabApp.extra_labextensions_path = [str(home / ".venv/share/jupyter/labextensions")]

# Modules in the folder of this file: backup and restore of the home (`inv data.backup`, `inv data.restore`), check of
# host names, log formatter.
sys.path.append("/etc/jupyter")
c.ServerApp.jpserver_extensions = {"devai_home": True, "devai_hosts": True}
c.Application.logging_config = {"formatters": {"console": {"class": "devai_log.Formatter"}}}

# JupyterLab makes no network requests of its own.
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
