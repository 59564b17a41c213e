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
from harness.kubernetes.releases import KUBE_ROUTER, KUBE_SCORE, METRICS_SERVER, NEWEST, OLDEST, SOPS


def build() -> None:
    """Build the programs of both releases and all other programs of tests, or wait for another process that does."""
    for module in (SOPS, NEWEST, KUBE_ROUTER, METRICS_SERVER, OLDEST, KUBE_SCORE):
        module.programs()


def up() -> None:
    """Start a cluster that runs until `down`; print shell commands to stdout."""
    started = time.monotonic()
    if kept := node.kept():
        running = cluster.of(kept)
        print("the cluster is already running", file=sys.stderr)
    else:
        missing = [program for program in cluster.NEEDS if shutil.which(program) is None]
        if missing:
            sys.exit(f"not installed: {', '.join(missing)}")
        running = cluster.start(keep=True)
        print(f"Kubernetes {running.version} is ready after {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"export KUBECONFIG={running.kubeconfig}")


def down() -> None:
    """Remove the cluster, and the remains of crashed clusters."""
    with exclusive_lock(node.nodes()):
        node.sweep()
    if kept := node.kept():
        kept.remove()
        print("the cluster is removed", file=sys.stderr)


def load(image: str) -> None:
    """Load an image of the local Docker engine into the running cluster."""
    kept = node.kept()
    if kept is None:
        sys.exit("no cluster is running; start one with `up`")
    cluster.of(kept).load_image(image)


def main() -> None:
    """Parse the arguments and run the command."""
    parser = argparse.ArgumentParser(
        prog="nox -s cluster --", description="A Kubernetes cluster with one node, for tests."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build the programs, which otherwise happens on first use")
    verbs.add_parser("up", help="start the cluster and print its KUBECONFIG")
    verbs.add_parser("down", help="remove the cluster")
    verbs.add_parser("load", help="load an image of the local Docker engine").add_argument("image")
    arguments = parser.parse_args()
    if arguments.verb != "build" and os.geteuid() != 0:
        sys.exit("a cluster needs root to create namespaces, mounts and cgroups")
    try:
        match arguments.verb:
            case "build":
                build()
            case "up":
                up()
            case "down":
                down()
            case "load":
                load(arguments.image)
    except (BuildError, StartError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
