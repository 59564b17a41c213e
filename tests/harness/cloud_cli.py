"""Stands in for `aws`, `az` and `gcloud`: who is logged in, a registry's login, and a cluster's kubeconfig.

It answers the commands that the tasks send, and refuses all others. The cluster is the tests' own, under the context
that the cloud's program would give it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# What conf/clouds has for an account of one's own.
ACCOUNT = {"aws": "210987654321", "az": "11111111-2222-4333-8444-555555555555", "gcloud": "lab-of-tests"}
ASKED = "DEVAI_TEST_CLOUD_LOG"


def install(folder: Path, log: Path) -> dict[str, str]:
    """Put the three programs into a folder; returns the environment that finds them first."""
    folder.mkdir()
    for name in ACCOUNT:
        program = folder / name
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{__file__}' {name} \"$@\"\n", encoding="utf-8")
        program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", ASKED: str(log)}


def main(name: str, *words: str) -> int:
    """Answer one command."""
    with Path(os.environ[ASKED]).open("a", encoding="utf-8") as log:
        log.write(f"{name} {' '.join(words)}\n")
    options = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
    match name, words[0:3]:
        case ("aws", ("sts", "get-caller-identity", _)) | ("az", ("account", "get-access-token", _)):
            sys.stdout.write(ACCOUNT[name] + "\n")
        case "gcloud", ("config", "get-value", "project"):
            sys.stdout.write(ACCOUNT[name] + "\n")
        case ("aws", ("ecr", "get-login-password", _)) | ("gcloud", ("auth", "print-access-token", *_)):
            sys.stdout.write("a-token" + "\n")
        case "az", ("acr", "login", _):
            sys.stdout.write(json.dumps({"accessToken": "a-token"}) + "\n")
        case "aws", ("eks", "update-kubeconfig", _):
            _join(f"arn:aws:eks:{options['region']}:{ACCOUNT[name]}:cluster/{options['name']}")
        case "az", ("aks", "get-credentials", _):
            _join(options["name"])
        case "gcloud", ("container", "clusters", "get-credentials"):
            _join(f"gke_{options['project']}_{options['location']}_{words[3]}")
        case _:
            sys.stderr.write(f"{name} {' '.join(words)}: nobody plays that\n")
            return 2
    return 0


def _join(context: str) -> None:
    """Add a context to the kubeconfig for the only cluster and user in it, and make it the current one."""
    config = json.loads(_kubectl("config", "view", "--raw", "--output=json"))
    cluster, user = config["clusters"][0]["name"], config["users"][0]["name"]
    _kubectl("config", "set-context", context, f"--cluster={cluster}", f"--user={user}")
    _kubectl("config", "use-context", context)


def _kubectl(*words: str) -> str:
    beside = Path(sys.executable).with_name("kubectl")
    program = str(beside) if beside.exists() else "kubectl"
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
