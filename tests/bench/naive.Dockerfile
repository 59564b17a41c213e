# The baseline for the lab's image: the same packages on the same base, in a typical first version. It has one stage,
# apt's recommended packages, and the caches of pip and apt; nothing is made worse on purpose.
ARG BASE_IMAGE=debian:trixie-slim
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008,DL3009,DL3015
RUN apt-get update && apt-get install --yes python3 python3-pip python3-venv tini
ARG PACKAGES=standard
COPY deploy/image/requirements/${PACKAGES}.lock /tmp/packages.lock
# The CA bundle of a network that inspects TLS; it is not part of the layer.
# hadolint ignore=DL3042
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi; \
    python3 -m venv /opt/lab && /opt/lab/bin/pip install --no-deps --requirement /tmp/packages.lock
ENV PATH=/opt/lab/bin:$PATH
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--allow-root"]
