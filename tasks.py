"""The tasks of this project, for `inv`."""

from devai_tasks.tasks import namespace

__all__ = ["namespace"]
