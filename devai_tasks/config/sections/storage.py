"""The section about files: the work folder, and the volumes of a cloud or cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devai_tasks.config.fields import PATH, Pending, at_least, key, matching
from devai_tasks.config.units import Size

LEAST_VOLUME = at_least(Size(2**30))
STORAGE_CLASS = matching(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", "the name of a StorageClass")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Files."""

    work_dir: str = key(
        "Folder of this machine that the lab shows as ~/work; relative to the project, or absolute.", check=PATH
    )
    allow_unsafe_work_dir: bool = key(
        "Whether `storage.work_dir` may be a folder in which a notebook can change what runs outside of the lab: a "
        "project, a work tree of git, a home, a folder of the system.",
        default=False,
        tasks="whether `inv up` refuses such a folder",
    )
    home: Size = key(
        "Size of the lab's home in a cloud or cluster; on this machine, its disk is the limit.", check=LEAST_VOLUME
    )
    models: Size = key("Size of the models' volume, likewise.", check=LEAST_VOLUME)
    access: Literal["ReadWriteMany", "ReadWriteOnce"] = key(
        "How a cluster's pods share the home: from all nodes, which takes a class that offers it, or from one."
    )
    home_class: str = key(
        "Storage class of the home. Empty: the file system that Terraform made, elsewhere the cluster's default class.",
        default="",
        check=STORAGE_CLASS,
    )
    models_class: str = key(
        "Storage class of the models. Empty: one of the stack's own on AWS, elsewhere the cluster's default class.",
        default="",
        check=STORAGE_CLASS,
    )
    file_system: str = key(
        "The home that Terraform made. AWS: `fs-…::fsap-…`, file system and access point; Azure: `account/share`; "
        "Google: `zone/instance/share@address`.",
        check=matching(r"[\w.:/@-]*", "the address of a file system"),
        pending=Pending("tf.apply", "zone.invalid/instance/share@192.0.2.1"),
    )
