"""What the operating system offers: errors, files, processes. Knows nothing of stacks."""
