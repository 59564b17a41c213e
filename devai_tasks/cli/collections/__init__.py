"""Tasks of `inv` and `devai`."""

from __future__ import annotations

from invoke.collection import Collection

from devai_tasks.cli.collections import (
    compose,
    config,
    data,
    doctor,
    image,
    kubernetes,
    models,
    new,
    secrets,
    stack,
    terraform,
    trust,
)

namespace = Collection(
    stack.up,
    stack.down,
    stack.stop,
    stack.start,
    stack.plan,
    stack.status,
    stack.open_,
    stack.logs,
    new.new,
    trust.trust,
    doctor.doctor,
    compose=Collection.from_module(compose),
    config=Collection.from_module(config),
    data=Collection.from_module(data),
    image=Collection.from_module(image),
    k8s=Collection.from_module(kubernetes),
    models=Collection.from_module(models),
    secrets=Collection.from_module(secrets),
    tf=Collection.from_module(terraform),
)
