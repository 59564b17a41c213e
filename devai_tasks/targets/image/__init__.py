"""The images of a stack: built, pinned, published."""
