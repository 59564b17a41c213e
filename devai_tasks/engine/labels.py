"""What an engine says of who made a Compose project: labels of its containers and volumes."""

from __future__ import annotations

from collections.abc import Mapping

from devai_tasks.engine.docker import Cli

# What Compose labels containers and volumes with; and, with a word more, containers with the folder of its files.
_PROJECT = "com.docker.compose.project"
_FOLDER = f"{_PROJECT}.working_dir"


class Marks(Cli):
    """The labels of containers and volumes."""

    def folders(self, compose_project: str) -> list[str]:
        """The folders that the containers of a Compose project were made from."""
        own = f"--filter=label={_PROJECT}={compose_project}"
        return self._listed("ps", "--all", own, f'--format={{{{.Label "{_FOLDER}"}}}}')

    def volumes(self, compose_project: str) -> list[str]:
        """The volumes of a Compose project."""
        return self._listed("volume", "ls", f"--filter=label={_PROJECT}={compose_project}", "--format={{.Name}}")

    def label(self, volume: str, name: str) -> str:
        """The value of a volume's label; empty where there is no such volume, or no such label of it."""
        shown = f'--format={{{{.Name}}}} {{{{.Label "{name}"}}}}'
        pairs = (line.partition(" ") for line in self._listed("volume", "ls", f"--filter=label={name}", shown))
        return next((value for found, _, value in pairs if found == volume), "")

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        """Make a volume with labels; one that exists keeps those that it has."""
        with self._running("docker volume create"):
            self._client.volume.create(volume, labels=dict(labels))

    def remove(self, volume: str) -> None:
        """Remove a volume, if there is one."""
        with self._running("docker volume rm"):
            self._call_for("volume", "rm", "--force", volume)

    def _listed(self, *words: str) -> list[str]:
        """The lines that a listing prints, each once."""
        lines: set[str] = set()
        with self._running(f"docker {words[0]}"):
            lines |= {*self._call_for(*words).decode().splitlines()}
        return sorted(lines)
