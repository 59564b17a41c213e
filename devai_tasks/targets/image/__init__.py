"""Container images of a stack: build, pin and publish."""
