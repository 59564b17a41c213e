# Chroma from its Python package, for machines that can reach package registries but no image registry.
# A replacement for the official image, with the same program, port and volume.

ARG BASE_IMAGE=debian:trixie-slim

# checkov:skip=CKV_DOCKER_3:runs as root like the official image, whose volume belongs to root
# checkov:skip=CKV_DOCKER_7:the tag is in the argument
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
SHELL ["/bin/sh", "-eu", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/chroma
COPY deploy/image/requirements/chroma.lock /tmp/
# `ca` is the optional certificate bundle of a network that inspects TLS. It is not stored in a layer.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    /opt/chroma/bin/pip install --no-deps --only-binary :all: --require-hashes --requirement /tmp/chroma.lock
EXPOSE 8000
HEALTHCHECK CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000"]
LABEL io.devai.chroma.source="build"
ENTRYPOINT ["/opt/chroma/bin/chroma", "run", "--host=0.0.0.0", "--path=/data"]
