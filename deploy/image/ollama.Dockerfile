# Ollama from source, for machines that can reach package registries but no image registry.
# A replacement for the official image, with the same program, port and volume. CPU only.

ARG BASE_IMAGE=debian:trixie-slim

# Debian supplies the toolchain, and three header-only libraries that are missing from Ollama's module archive.
# checkov:skip=CKV_DOCKER_7:the tag is in the argument
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates g++ golang-go libminiaudio-dev libstb-dev nlohmann-json3-dev \
    && rm -rf /var/lib/apt/lists/* \
    # llama.cpp includes miniaudio.h by its path in llama.cpp's source tree.
    && mkdir /usr/include/miniaudio \
    && ln -s ../miniaudio.h /usr/include/miniaudio/
ARG OLLAMA_VERSION
# `ca` is the optional certificate bundle of a network that inspects TLS. It is not stored in a layer.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/go \
    --mount=type=cache,target=/root/.cache/go-build \
    if [ -s /run/secrets/ca.crt ]; then export SSL_CERT_FILE=/run/secrets/ca.crt; fi; \
    CGO_ENABLED=1 CGO_CFLAGS='-O2 -g0' CGO_CXXFLAGS='-O2 -g0' GOBIN=/usr/local/bin \
    go install -v -trimpath \
        -ldflags "-s -w -X github.com/ollama/ollama/version.Version=${OLLAMA_VERSION}" \
        "github.com/ollama/ollama@v${OLLAMA_VERSION}"

# checkov:skip=CKV_DOCKER_3:runs as root like the official image, whose volume belongs to root
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG OLLAMA_VERSION
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/ollama /usr/local/bin/ollama
ENV OLLAMA_HOST=0.0.0.0:11434
EXPOSE 11434
HEALTHCHECK CMD ["ollama", "list"]
LABEL io.devai.ollama.source="build"
ENTRYPOINT ["ollama"]
CMD ["serve"]
