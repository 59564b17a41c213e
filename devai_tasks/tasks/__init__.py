"""The tasks that `inv` and `devai` offer."""

from __future__ import annotations

from invoke.collection import Collection

from devai_tasks.tasks import compose, config, image, models, new, stack

namespace = Collection(
    stack.up,
    stack.down,
    new.new,
    compose=Collection.from_module(compose),
    config=Collection.from_module(config),
    image=Collection.from_module(image),
    models=Collection.from_module(models),
)
