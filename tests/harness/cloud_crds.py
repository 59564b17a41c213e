"""Kinds that controllers of the clouds define, with the part of their schemas that the manifests use.

Sources: GKE's "Ingress configuration on Google Cloud" and "Use Google-managed SSL certificates", EKS's "Create a Node
Pool for EKS Auto Mode", and the API specification of the External Secrets Operator. The API server rejects any other
field.
"""

from __future__ import annotations

from typing import Any

from harness.kubernetes.crds import definition

TEXT, NUMBER, SWITCH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def fields(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these fields."""
    return {"type": "object", "properties": properties}


def items(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


BACKEND = fields(
    timeoutSec=NUMBER,
    connectionDraining=fields(drainingTimeoutSec=NUMBER),
    sessionAffinity=fields(
        affinityType={"type": "string", "enum": ["NONE", "CLIENT_IP", "GENERATED_COOKIE"]}, affinityCookieTtlSec=NUMBER
    ),
    healthCheck=fields(type=TEXT, port=NUMBER, requestPath=TEXT, checkIntervalSec=NUMBER, timeoutSec=NUMBER),
    securityPolicy=fields(name=TEXT),
)
FRONTEND = fields(redirectToHttps=fields(enabled=SWITCH, responseCodeName=TEXT), sslPolicy=TEXT)
NODES = fields(
    nodeClassRef=fields(group=TEXT, kind=TEXT, name=TEXT),
    requirements=items(fields(key=TEXT, operator=TEXT, values=items(TEXT))),
    taints=items(fields(key=TEXT, value=TEXT, effect=TEXT)),
)
POOL = fields(
    template=fields(metadata=fields(labels={"type": "object", "additionalProperties": TEXT}), spec=NODES),
    disruption=fields(
        consolidationPolicy={"type": "string", "enum": ["WhenEmpty", "WhenEmptyOrUnderutilized"]}, consolidateAfter=TEXT
    ),
)
EXTERNAL = fields(
    refreshInterval=TEXT,
    secretStoreRef=fields(kind=TEXT, name=TEXT),
    target=fields(
        name=TEXT,
        creationPolicy=TEXT,
        template=fields(data={"type": "object", "additionalProperties": TEXT}),
    ),
    data=items(fields(secretKey=TEXT, remoteRef=fields(key=TEXT))),
)

DEFINITIONS = (
    definition("cloud.google.com", "v1", "BackendConfig", "backendconfigs", schema=fields(spec=BACKEND)),
    definition("networking.gke.io", "v1beta1", "FrontendConfig", "frontendconfigs", schema=fields(spec=FRONTEND)),
    definition(
        "networking.gke.io",
        "v1",
        "ManagedCertificate",
        "managedcertificates",
        schema=fields(spec=fields(domains=items(TEXT))),
    ),
    definition("karpenter.sh", "v1", "NodePool", "nodepools", scope="Cluster", schema=fields(spec=POOL)),
    definition("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", schema=fields(spec=EXTERNAL)),
)
