"""A provider that answers from a recording: it checks names and types, plans, and changes nothing but the state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from devai_tasks.offline import behavior, values
from devai_tasks.offline.protocol import UNKNOWN, decode, encode, is_unknown, path, schema
from devai_tasks.offline.recording import Recording

Context = Any
"""gRPC's context of a call; nothing here asks it anything."""


class Provider(rpc.ProviderServicer):  # type: ignore[misc] # generated without types
    """One provider; the methods are those of the protocol, and named by it."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.config: Mapping[str, Any] = {}

    @cached_property
    def _schemas(self) -> pb.GetProviderSchema.Response:
        return pb.GetProviderSchema.Response(
            provider=schema(self.recording.provider),
            resource_schemas={name: schema(block) for name, block in self.recording.resources.items()},
            data_source_schemas={name: schema(block) for name, block in self.recording.data.items()},
            server_capabilities=pb.ServerCapabilities(plan_destroy=False),
        )

    def GetMetadata(self, request: Any, context: Context) -> Any:
        """Nothing beside the schemas."""
        return pb.GetMetadata.Response()

    def GetProviderSchema(self, request: Any, context: Context) -> Any:
        """The recorded schemas."""
        return self._schemas

    def GetFunctions(self, request: Any, context: Context) -> Any:
        """None."""
        return pb.GetFunctions.Response()

    def ValidateProviderConfig(self, request: Any, context: Context) -> Any:
        """Terraform itself has checked names and types by the schema; nothing here knows more."""
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Context) -> Any:
        """What the real provider refuses of write-only arguments; the rest is the schema's."""
        refused = [
            pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary="Missing required argument", detail=detail)
            for detail in behavior.incomplete(decode(request.config))
        ]
        return pb.ValidateResourceConfig.Response(diagnostics=refused)

    def ValidateDataResourceConfig(self, request: Any, context: Context) -> Any:
        """The schema's only."""
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Context) -> Any:
        """Note the configuration: region, account, labels for everything."""
        self.config = decode(request.config) or {}
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, context: Context) -> Any:
        """The state as this recording has it: what an older one knew is gone, what is new is empty."""
        block = self.recording.resources[request.type_name]
        state = json.loads(request.raw_state.json)
        known = values.empty(block)
        upgraded = known | {name: value for name, value in state.items() if name in known}
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=json.dumps(upgraded).encode()))

    def ReadResource(self, request: Any, context: Context) -> Any:
        """What the state says: there is nothing else to ask."""
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request: Any, context: Context) -> Any:
        """What is to be, what of it is unknown, and whether that takes a new resource."""
        proposed, prior = decode(request.proposed_new_state), decode(request.prior_state)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        block = self.recording.resources[request.type_name]
        plan = self._merged(values.kept(block, proposed) if prior else values.planned(block, proposed))
        if prior is None:
            return pb.PlanResourceChange.Response(planned_state=encode(plan))
        changed = [name for name, value in proposed.items() if plan[name] != prior.get(name) and value == plan[name]]
        if not changed and all(is_unknown(value) or value == prior.get(name) for name, value in plan.items()):
            plan = prior  # nothing that anybody has asked for
        # What an import couldn't read is no change that replaces anything.
        replacing = [
            path(name) for name in changed if prior[name] is not None and behavior.replaces(request.type_name, name)
        ]
        return pb.PlanResourceChange.Response(planned_state=encode(plan), requires_replace=replacing)

    def ApplyResourceChange(self, request: Any, context: Context) -> Any:
        """The same with made-up values for what was unknown; what is protected stays, as if something were in it."""
        plan = decode(request.planned_state)
        if plan is None and (kept := behavior.protections(decode(request.prior_state))):
            summary = f"{request.type_name} can't be destroyed: {', '.join(kept)}"
            refusal = pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=summary)
            return pb.ApplyResourceChange.Response(new_state=request.prior_state, diagnostics=[refusal])
        if plan is None:
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        own = {name: self.config.get(name) for name in ("region", "project")}
        own |= behavior.computes(request.type_name, plan, self.config)
        state = values.applied(self.recording.resources[request.type_name], plan, request.type_name, own)
        return pb.ApplyResourceChange.Response(new_state=encode(state))

    def ImportResourceState(self, request: Any, context: Context) -> Any:
        """A resource of which nothing but its id is known."""
        state = values.imported(self.recording.resources[request.type_name], request.id, request.type_name)
        imported = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=encode(state))
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def ReadDataSource(self, request: Any, context: Context) -> Any:
        """What configurations rely on, and made-up values for the rest."""
        block, config = self.recording.data[request.type_name], decode(request.config)
        known = behavior.answers(request.type_name, config, self.config)
        given = config | {name: value for name, value in known.items() if name in block["attributes"]}
        return pb.ReadDataSource.Response(state=encode(values.read(block, given, request.type_name)))

    def StopProvider(self, request: Any, context: Context) -> Any:
        """There is nothing to stop."""
        return pb.StopProvider.Response()

    def _merged(self, plan: dict[str, Any]) -> dict[str, Any]:
        """With the labels that the provider puts on everything, where it says what they come to."""
        if self.recording.name not in behavior.MERGED:
            return plan
        argument, own, results = behavior.MERGED[self.recording.name]
        given = plan.get(own)
        merged = UNKNOWN if is_unknown(given) else {**self._labels(argument), **(given or {})}
        return {name: merged if name in results else value for name, value in plan.items()}

    def _labels(self, argument: str) -> dict[str, str]:
        configured = self.config.get(argument) or {}
        if isinstance(configured, list):  # a block: default_tags { tags = … }
            configured = (configured[0] or {}).get("tags") if configured else {}
        return configured or {}
