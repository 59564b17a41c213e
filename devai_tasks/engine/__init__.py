"""Container engine: Docker, Podman, Compose, images and registries. Functions take values, never settings."""
