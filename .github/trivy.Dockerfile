# The scanner of `nox -s audit`, in a Dockerfile so that Dependabot updates it. Pinned to a digest, because tags of this
# scanner have been moved before.
FROM aquasec/trivy:0.75.0@sha256:af6acf9a6b85dfe389a1941505c0ce9efef52a4719635e1a962f022a3d855daa
