"""What a stack has on this machine: artifacts, recorded state, token and secrets, locks and history."""
