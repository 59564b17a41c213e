"""Labels of a Compose project's containers and volumes, which show the folder that created them."""

from __future__ import annotations

from collections.abc import Mapping

from devai_tasks.engine.docker import Cli

# Compose's labels: the project's name on containers and volumes, the folder of its files on containers.
_PROJECT = "com.docker.compose.project"
_FOLDER = f"{_PROJECT}.working_dir"


class Marks(Cli):
    """Queries for labels of containers and volumes."""

    def folders(self, compose_project: str) -> list[str]:
        """Return the folders that the containers of a Compose project were created from."""
        project = f"--filter=label={_PROJECT}={compose_project}"
        return self._listed("ps", "--all", project, f'--format={{{{.Label "{_FOLDER}"}}}}')

    def volumes(self, compose_project: str) -> list[str]:
        """Return the names of the volumes of a Compose project."""
        return self._listed("volume", "ls", f"--filter=label={_PROJECT}={compose_project}", "--format={{.Name}}")

    def label(self, volume: str, name: str) -> str:
        """Return the value of a volume's label; empty if the volume or the label is missing."""
        columns = f'--format={{{{.Name}}}} {{{{.Label "{name}"}}}}'
        pairs = (line.partition(" ") for line in self._listed("volume", "ls", f"--filter=label={name}", columns))
        return next((value for name, _, value in pairs if name == volume), "")

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        """Create a volume with labels; an existing volume keeps its labels."""
        with self._running("docker volume create"):
            self._client.volume.create(volume, labels=dict(labels))

    def remove(self, volume: str) -> None:
        """Remove a volume if it exists."""
        with self._running("docker volume rm"):
            self._call_for("volume", "rm", "--force", volume)

    def _listed(self, *arguments: str) -> list[str]:
        """Return the sorted, distinct lines that a list command prints."""
        lines: set[str] = set()
        with self._running(f"docker {arguments[0]}"):
            lines |= {*self._call_for(*arguments).decode().splitlines()}
        return sorted(lines)
