"""The files of a stack on this machine: artifacts, recorded state, token, secrets, locks and history."""
