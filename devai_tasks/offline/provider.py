"""Offline provider that answers from a schema snapshot: checks names and types, plans, and changes only the state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from devai_tasks.offline import behavior, values
from devai_tasks.offline.protocol import UNKNOWN, decode, encode, is_unknown, path, schema
from devai_tasks.offline.recording import Snapshot

Context = Any
"""Context of a gRPC call; not used here."""


class Provider(rpc.ProviderServicer):  # type: ignore[misc] # generated without types
    """A provider. The names of its methods are those of the protocol."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.config: Mapping[str, Any] = {}

    @cached_property
    def _schemas(self) -> pb.GetProviderSchema.Response:
        return pb.GetProviderSchema.Response(
            provider=schema(self.snapshot.provider),
            resource_schemas={name: schema(block) for name, block in self.snapshot.resources.items()},
            data_source_schemas={name: schema(block) for name, block in self.snapshot.data.items()},
            server_capabilities=pb.ServerCapabilities(plan_destroy=False),
        )

    def GetMetadata(self, request: Any, context: Context) -> Any:
        """Return empty metadata: the schemas contain everything."""
        return pb.GetMetadata.Response()

    def GetProviderSchema(self, request: Any, context: Context) -> Any:
        """Return the schemas of the snapshot."""
        return self._schemas

    def GetFunctions(self, request: Any, context: Context) -> Any:
        """Return no functions."""
        return pb.GetFunctions.Response()

    def ValidateProviderConfig(self, request: Any, context: Context) -> Any:
        """Accept the configuration: Terraform has checked names and types by the schema."""
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Context) -> Any:
        """Return the real provider's errors for write-only arguments; Terraform has checked the rest by the schema."""
        errors = [
            pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary="Missing required argument", detail=detail)
            for detail in behavior.incomplete(decode(request.config))
        ]
        return pb.ValidateResourceConfig.Response(diagnostics=errors)

    def ValidateDataResourceConfig(self, request: Any, context: Context) -> Any:
        """Accept the configuration: Terraform has checked names and types by the schema."""
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Context) -> Any:
        """Store the provider's configuration: region, account, default labels."""
        self.config = decode(request.config) or {}
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, context: Context) -> Any:
        """Convert a state to the snapshot's schema: remove unknown attributes, add new ones as null."""
        block = self.snapshot.resources[request.type_name]
        state = json.loads(request.raw_state.json)
        known = values.empty(block)
        upgraded = known | {name: value for name, value in state.items() if name in known}
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=json.dumps(upgraded).encode()))

    def ReadResource(self, request: Any, context: Context) -> Any:
        """Return the current state: there is no real resource to read."""
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request: Any, context: Context) -> Any:
        """Return the planned state with unknown values, and the changes that replace the resource."""
        proposed, prior = decode(request.proposed_new_state), decode(request.prior_state)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        block = self.snapshot.resources[request.type_name]
        plan = self._merged(values.kept(block, proposed) if prior else values.planned(block, proposed))
        if prior is None:
            return pb.PlanResourceChange.Response(planned_state=encode(plan))
        changed = [name for name, value in proposed.items() if plan[name] != prior.get(name) and value == plan[name]]
        if not changed and all(is_unknown(value) or value == prior.get(name) for name, value in plan.items()):
            plan = prior  # no change in the configuration
        # A null in the prior state comes from an import, and must not replace the resource.
        replacing = [
            path(name) for name in changed if prior[name] is not None and behavior.replaces(request.type_name, name)
        ]
        return pb.PlanResourceChange.Response(planned_state=encode(plan), requires_replace=replacing)

    def ApplyResourceChange(self, request: Any, context: Context) -> Any:
        """Return the planned state with placeholders for unknown values.

        The destruction of a protected resource fails, as if the resource were not empty.
        """
        plan = decode(request.planned_state)
        if plan is None and (kept := behavior.protections(decode(request.prior_state))):
            summary = f"{request.type_name} can't be destroyed: {', '.join(kept)}"
            error = pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=summary)
            return pb.ApplyResourceChange.Response(new_state=request.prior_state, diagnostics=[error])
        if plan is None:
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        computed = {name: self.config.get(name) for name in ("region", "project")}
        computed |= behavior.computes(request.type_name, plan, self.config)
        state = values.applied(self.snapshot.resources[request.type_name], plan, request.type_name, computed)
        return pb.ApplyResourceChange.Response(new_state=encode(state))

    def ImportResourceState(self, request: Any, context: Context) -> Any:
        """Return a resource of which only the ID is known."""
        state = values.imported(self.snapshot.resources[request.type_name], request.id, request.type_name)
        imported = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=encode(state))
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def ReadDataSource(self, request: Any, context: Context) -> Any:
        """Return the values that configurations depend on, and placeholders for the rest."""
        block, config = self.snapshot.data[request.type_name], decode(request.config)
        known = behavior.answers(request.type_name, config, self.config)
        result = config | {name: value for name, value in known.items() if name in block["attributes"]}
        return pb.ReadDataSource.Response(state=encode(values.read(block, result, request.type_name)))

    def StopProvider(self, request: Any, context: Context) -> Any:
        """Do nothing: no operation runs in the background."""
        return pb.StopProvider.Response()

    def _merged(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Return a plan with the provider's default labels merged into the attributes that contain them."""
        if self.snapshot.name not in behavior.MERGED:
            return plan
        argument, labels, results = behavior.MERGED[self.snapshot.name]
        configured = plan.get(labels)
        merged = UNKNOWN if is_unknown(configured) else {**self._labels(argument), **(configured or {})}
        return {name: merged if name in results else value for name, value in plan.items()}

    def _labels(self, argument: str) -> dict[str, str]:
        configured = self.config.get(argument) or {}
        if isinstance(configured, list):  # a block: default_tags { tags = … }
            configured = (configured[0] or {}).get("tags") if configured else {}
        return configured or {}
