# Dockerfile.gpu is a symbolic link to this file, so that the two can't drift. The two images differ in build arguments
# only, which the bake file of `inv image.build` passes. A manual build for NVIDIA GPUs:
#   docker build --build-arg BASE_IMAGE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 --build-arg PACKAGES=cuda13 .
ARG BASE_IMAGE=debian:trixie-slim
ARG PACKAGES=standard

# Python on any Debian-based image that has Python 3.11 or later.
# checkov:skip=CKV_DOCKER_7:the tag is in the argument
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
SHELL ["/bin/sh", "-eu", "-c"]
# The base image's release determines the package versions. Documentation is left out, as in slim base images; licenses
# are kept.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        --option DPkg::Options::=--path-exclude='/usr/share/doc/*' \
        --option DPkg::Options::=--path-include='/usr/share/doc/*/copyright' \
        --option DPkg::Options::=--path-exclude='/usr/share/locale/*' \
        --option DPkg::Options::=--path-exclude='/usr/share/man/*' \
        ca-certificates python3 python3-venv tini \
    # Remove what differs between builds: package lists, logs, and the linker's cache, which contains inodes.
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/*


FROM base AS packages
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/lab
ARG PACKAGES
COPY deploy/image/requirements/${PACKAGES}.lock /tmp/packages.lock
# `ca` is the optional certificate bundle of a network that inspects TLS. It is not stored in a layer.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    /opt/lab/bin/pip install --no-compile --no-deps --only-binary :all: --require-hashes \
        --requirement /tmp/packages.lock \
    && /opt/lab/bin/pip check \
    && /opt/lab/bin/pip freeze --all >/opt/lab/constraints.txt
COPY deploy/image/prune.sh /tmp/
RUN sh /tmp/prune.sh /opt/lab \
    # Hashes instead of timestamps, a fixed order of sets and a single process make the compiled files reproducible.
    && PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash /opt/lab/lib \
    # In a running lab, the first `python` on PATH is that of the user's virtual environment, which lab-env creates.
    && sed -i '1s|.*|#!/usr/bin/env python|' /opt/lab/bin/pip* \
    && sed -i '0,/"python"/ s|"python"|"/usr/bin/env", "python"|' /opt/lab/share/jupyter/kernels/python3/kernel.json


# The command-line tools that the build argument selects, if any.
FROM base AS tools
ARG TOOLS
COPY deploy/image/requirements/tools.lock deploy/image/tools.sh /tmp/
COPY deploy/image/tools/ /opt/tools/
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    --mount=type=cache,target=/root/.npm \
    if [ -s /run/secrets/ca.crt ]; then \
        export PIP_CERT=/run/secrets/ca.crt NODE_EXTRA_CA_CERTS=/run/secrets/ca.crt; \
    fi; \
    # Unquoted: a list of names, which may be empty.
    # shellcheck disable=SC2086
    sh /tmp/tools.sh ${TOOLS}


# The user's requirements.txt, if it exists: a pattern may match nothing, but a missing plain name fails the build.
FROM scratch AS person
COPY requirements.tx[t] /


FROM base AS lab
# The home is writable for group 0, so that the lab runs as any user ID in that group. SOURCE_DATE_EPOCH keeps the build
# date out of /etc/shadow.
RUN SOURCE_DATE_EPOCH=0 useradd --no-log-init --uid 10001 --gid 0 --home-dir /home/devai --no-create-home --shell /bin/bash devai \
    && install --directory --owner 10001 --group 0 --mode 0775 /home/devai
# The compilers that packages without a wheel need.
ARG COMPILERS=false
# hadolint ignore=DL3008
RUN if [ "${COMPILERS}" = true ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends build-essential python3-dev \
        && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/*; \
    fi
# USER is set because a user ID without an account has no name. Jupyter's runtime files contain the token, so they are
# kept out of the persistent home.
ENV HOME=/home/devai \
    JUPYTER_RUNTIME_DIR=/tmp/jupyter-runtime \
    LANG=C.UTF-8 \
    PATH=/opt/lab/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    SHELL=/bin/bash \
    USER=devai
COPY --from=packages /opt/lab /opt/lab
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=bind,from=person,target=/mnt \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    if grep -Eqs '^[[:space:]]*[^#[:space:]]' /mnt/requirements.txt; then \
        pip install --cache-dir /root/.cache/pip \
            --constraint /opt/lab/constraints.txt --requirement /mnt/requirements.txt; \
    fi
COPY --from=tools /opt/tools/ /opt/tools/
COPY --from=tools /opt/tools/bin/ /usr/local/bin/
COPY deploy/image/jupyter_server_config.py deploy/image/devai_*.py /etc/jupyter/
COPY deploy/image/page_config.json /etc/jupyter/labconfig/
COPY deploy/image/before-start.d/ /usr/local/bin/before-start.d/
COPY --chmod=0755 deploy/image/entrypoint.sh /usr/local/bin/entrypoint
COPY --chmod=0755 deploy/image/lab-env.sh /usr/local/bin/lab-env
COPY --chmod=0755 deploy/image/healthcheck.py /usr/local/bin/healthcheck

WORKDIR /home/devai
USER 10001:0
EXPOSE 8888
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/healthcheck"]
ENTRYPOINT ["/usr/local/bin/entrypoint"]
# An absolute path, because the user's virtual environment may contain another jupyter.
CMD ["/opt/lab/bin/jupyter", "lab"]

# The labels come last, because they change with every commit.
ARG BASE_IMAGE
ARG BASE_SOURCE=registry
ARG BASE_DIGEST
ARG CREATED
ARG INPUTS
ARG SOURCE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Dev AI Lab" \
      org.opencontainers.image.description="JupyterLab that talks to Ollama" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      io.devai.base.source="${BASE_SOURCE}" \
      io.devai.inputs="${INPUTS}"
