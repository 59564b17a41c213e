"""The tasks, under the name by which the `tasks.py` of a project of version 0.1 imports them."""

from devai_tasks.cli.collections import namespace

__all__ = ["namespace"]
