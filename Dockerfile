ARG BASE_IMAGE=debian:trixie-slim
ARG PACKAGES=standard
# Below this line Dockerfile and Dockerfile.gpu are the same.

# What is installed while building and what runs both need: Python, on any base of the Debian family that has 3.11 or later.
# checkov:skip=CKV_DOCKER_7:the tag is in the argument
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
SHELL ["/bin/sh", "-eu", "-c"]
# Versions are those of the base's own release. Documentation is dropped as slim bases do, licences stay.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        --option DPkg::Options::=--path-exclude='/usr/share/doc/*' \
        --option DPkg::Options::=--path-include='/usr/share/doc/*/copyright' \
        --option DPkg::Options::=--path-exclude='/usr/share/locale/*' \
        --option DPkg::Options::=--path-exclude='/usr/share/man/*' \
        ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*


# The packages, with the tools that only the making of them needs.
FROM base AS packages
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils python3-venv \
    && rm -rf /var/lib/apt/lists/*
# The user site stays visible: there a notebook's own `pip install` goes, because the lab's packages are root's.
RUN python3 -m venv --system-site-packages /opt/lab
ARG PACKAGES
COPY deploy/image/requirements/${PACKAGES}.lock /tmp/packages.lock
# `ca` is the certificate bundle of a network that inspects TLS: optional, and in no layer.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    /opt/lab/bin/pip install --no-compile --no-deps --only-binary :all: --require-hashes \
        --requirement /tmp/packages.lock \
    && /opt/lab/bin/pip check \
    && /opt/lab/bin/pip freeze --all >/opt/lab/constraints.txt
COPY deploy/image/prune.sh /tmp/
RUN sh /tmp/prune.sh /opt/lab
COPY deploy/image/pip.conf /opt/lab/
# With hashes in place of times, so that equal packages make equal files.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/lab/lib


# One person's requirements.txt, if there is one: a pattern may match nothing.
FROM scratch AS person
COPY requirements.tx[t] /


FROM base AS lab
# Group 0 may write, so that any other id of that group works as well as this one.
RUN useradd --no-log-init --uid 10001 --gid 0 --home-dir /home/devai --no-create-home --shell /bin/bash devai \
    && install --directory --owner 10001 --group 0 --mode 0775 /home/devai
# Jupyter's run-time files hold the token: not in the home, which is kept. USER, for an id without an account has no name.
ENV HOME=/home/devai \
    USER=devai \
    JUPYTER_RUNTIME_DIR=/tmp/jupyter-runtime \
    LANG=C.UTF-8 \
    PATH=/opt/lab/bin:/home/devai/.local/bin:$PATH \
    SHELL=/bin/bash
COPY --from=packages /opt/lab /opt/lab
# pip.conf holds them to the versions that are there already.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=bind,from=person,target=/mnt \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    if grep -Eqs '^[[:space:]]*[^#[:space:]]' /mnt/requirements.txt; then \
        PIP_USER=0 pip install --cache-dir /root/.cache/pip --requirement /mnt/requirements.txt; \
        pip freeze --all >/opt/lab/constraints.txt; \
    fi
COPY deploy/image/jupyter_server_config.py /etc/jupyter/
COPY deploy/image/page_config.json /etc/jupyter/labconfig/
COPY --chmod=0755 deploy/image/entrypoint.sh /usr/local/bin/entrypoint
COPY --chmod=0755 deploy/image/healthcheck.py /usr/local/bin/healthcheck

WORKDIR /home/devai
USER 10001:0
EXPOSE 8888
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["entrypoint"]
CMD ["jupyter", "lab"]

# Last, for these change with every commit.
ARG BASE_SOURCE=registry
ARG SOURCE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Dev AI Lab" \
      org.opencontainers.image.description="JupyterLab that talks to Ollama" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.devai.base.source="${BASE_SOURCE}"
