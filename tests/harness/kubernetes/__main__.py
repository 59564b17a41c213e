"""The test cluster from the command line: `python -m harness.kubernetes build|up|down`, in `nox -s cluster -- up`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time

from harness.kubernetes import cluster, node
from harness.kubernetes.go import BuildError
from harness.kubernetes.paths import exclusive_lock
from harness.kubernetes.programs import StartError
from harness.kubernetes.releases import KUBE_SCORE, NEWEST, OLDEST, SOPS


def build() -> None:
    """Build the programs of both releases and what else tests run, or wait for whoever does."""
    for module in (SOPS, NEWEST, OLDEST, KUBE_SCORE):
        module.programs()


def up() -> None:
    """Start a cluster that runs until `down`; what it says on stdout is for a shell."""
    started = time.monotonic()
    if kept := node.kept():
        running = cluster.of(kept)
        print("the cluster runs already", file=sys.stderr)
    else:
        absent = [program for program in cluster.NEEDS if shutil.which(program) is None]
        if absent:
            sys.exit(f"not installed: {', '.join(absent)}")
        running = cluster.start(keep=True)
        print(f"Kubernetes {running.version} is ready after {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"export KUBECONFIG={running.kubeconfig}")


def down() -> None:
    """End that cluster, and whatever a crash has left."""
    with exclusive_lock(node.nodes()):
        node.sweep()
    if kept := node.kept():
        kept.remove()
        print("the cluster is gone", file=sys.stderr)


def load(image: str) -> None:
    """Give the running cluster an image of the local Docker engine."""
    kept = node.kept()
    if kept is None:
        sys.exit("no cluster runs: up starts one")
    cluster.of(kept).load_image(image)


def main() -> None:
    """Do what the words say."""
    parser = argparse.ArgumentParser(prog="nox -s cluster --", description="A Kubernetes of one node, for tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build its programs, which else happens when they are needed")
    verbs.add_parser("up", help="start it, and print how to reach it")
    verbs.add_parser("down", help="end it")
    verbs.add_parser("load", help="give it an image of the local Docker engine").add_argument("image")
    words = parser.parse_args()
    if words.verb != "build" and os.geteuid() != 0:
        sys.exit("a cluster needs root: it makes namespaces, mounts and cgroups")
    try:
        match words.verb:
            case "build":
                build()
            case "up":
                up()
            case "down":
                down()
            case "load":
                load(words.image)
    except (BuildError, StartError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
