"""The container engine: Docker, Podman, Compose, images and registries. It gets values, never settings."""
