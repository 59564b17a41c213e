"""Operating system: errors, files, processes, terminal. Independent of stacks."""
