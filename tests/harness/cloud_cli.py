"""Fake of `aws`, `az` and `gcloud`: the current account, a registry login, and the kubeconfig of a cluster.

The fake answers the commands that the tasks run, and fails for all others. The cluster is the test cluster; its context
has the name that the cloud's program would use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Accounts in the format of `terraform.account` in conf/clouds.
ACCOUNT = {"aws": "210987654321", "az": "11111111-2222-4333-8444-555555555555", "gcloud": "lab-of-tests"}
LOG_VARIABLE = "DEVAI_TEST_CLOUD_LOG"


def install(folder: Path, log: Path) -> dict[str, str]:
    """Write the three programs into a folder; return environment variables with the folder first in PATH."""
    folder.mkdir()
    for name in ACCOUNT:
        program = folder / name
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{__file__}' {name} \"$@\"\n", encoding="utf-8")
        program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", LOG_VARIABLE: str(log)}


def main(name: str, *arguments: str) -> int:
    """Answer one command."""
    with Path(os.environ[LOG_VARIABLE]).open("a", encoding="utf-8") as log:
        log.write(f"{name} {' '.join(arguments)}\n")
    options = dict(
        argument.removeprefix("--").partition("=")[::2] for argument in arguments if argument.startswith("--")
    )
    match name, arguments[0:3]:
        case ("aws", ("sts", "get-caller-identity", _)) | ("az", ("account", "get-access-token", _)):
            sys.stdout.write(ACCOUNT[name] + "\n")
        case "gcloud", ("config", "get-value", "project"):
            sys.stdout.write(ACCOUNT[name] + "\n")
        case ("aws", ("ecr", "get-login-password", _)) | ("gcloud", ("auth", "print-access-token", *_)):
            sys.stdout.write("a-token" + "\n")
        case "az", ("acr", "login", _):
            sys.stdout.write(json.dumps({"accessToken": "a-token"}) + "\n")
        case "aws", ("eks", "update-kubeconfig", _):
            _add_context(f"arn:aws:eks:{options['region']}:{ACCOUNT[name]}:cluster/{options['name']}")
        case "az", ("aks", "get-credentials", _):
            _add_context(options["name"])
        case "gcloud", ("container", "clusters", "get-credentials"):
            _add_context(f"gke_{options['project']}_{options['location']}_{arguments[3]}")
        case _:
            sys.stderr.write(f"{name} {' '.join(arguments)}: not supported by the fake\n")
            return 2
    return 0


def _add_context(context: str) -> None:
    """Add a context to the kubeconfig for its only cluster and user, and make it the current context."""
    config = json.loads(_kubectl("config", "view", "--raw", "--output=json"))
    cluster, user = config["clusters"][0]["name"], config["users"][0]["name"]
    _kubectl("config", "set-context", context, f"--cluster={cluster}", f"--user={user}")
    _kubectl("config", "use-context", context)


def _kubectl(*arguments: str) -> str:
    installed = Path(sys.executable).with_name("kubectl")
    program = str(installed) if installed.exists() else "kubectl"
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
