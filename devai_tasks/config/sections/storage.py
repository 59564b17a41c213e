"""Configuration section for files: the work folder, and the volumes of a cloud or cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devai_tasks.config.fields import PATH, Pending, at_least, key, matching
from devai_tasks.config.units import Size

LEAST_VOLUME = at_least(Size(2**30))
STORAGE_CLASS = matching(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", "the name of a StorageClass")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Work folder and volumes."""

    work_dir: str = key(
        "Folder on this machine that is mounted as ~/work in the lab; relative to the project, or absolute.", check=PATH
    )
    allow_unsafe_work_dir: bool = key(
        "Whether `storage.work_dir` may be a folder in which notebooks can change files that are executed outside of "
        "the lab: a project, a Git work tree, a home folder, a system folder.",
        default=False,
        tasks="whether `inv up` refuses such a folder",
    )
    home: Size = key(
        "Size of the lab's home volume in a cloud or cluster; on this machine, only the disk limits it.",
        check=LEAST_VOLUME,
    )
    models: Size = key(
        "Size of the models volume in a cloud or cluster; on this machine, only the disk limits it.", check=LEAST_VOLUME
    )
    access: Literal["ReadWriteMany", "ReadWriteOnce"] = key(
        "Access mode of the home volume in a cluster: ReadWriteMany for pods on all nodes, which requires a storage "
        "class that supports it, or ReadWriteOnce for pods on one node."
    )
    home_class: str = key(
        "Storage class of the home volume. Empty: the file system created by Terraform, or without Terraform the "
        "cluster's default class.",
        default="",
        check=STORAGE_CLASS,
    )
    models_class: str = key(
        "Storage class of the models volume. Empty: a class created for the stack on AWS, elsewhere the cluster's "
        "default class.",
        default="",
        check=STORAGE_CLASS,
    )
    file_system: str = key(
        "Home file system created by Terraform. AWS: `fs-…::fsap-…` (file system and access point); Azure: "
        "`account/share`; Google Cloud: `zone/instance/share@address`.",
        check=matching(r"[\w.:/@-]*", "the address of a file system"),
        pending=Pending("tf.apply", "zone.invalid/instance/share@192.0.2.1"),
    )
