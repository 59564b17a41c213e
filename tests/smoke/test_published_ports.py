"""What the machine's other users and the network can reach: only Compose publishes ports on a machine."""

from __future__ import annotations

import json

from harness.stack import ComposeStack, docker


def test_nothing_listens_beyond_the_loopback_unless_configured(stack: ComposeStack) -> None:
    published = [
        (name, binding["HostIp"])
        for name in stack.services
        for bindings in json.loads(docker("inspect", stack.container(name)))[0]["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]
    allowed = {"devai": stack.settings.network.bind_address, "ollama": "127.0.0.1"}
    assert sorted(published) == [(name, allowed[name]) for name in stack.services]
