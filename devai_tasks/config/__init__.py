"""From `conf/` and overrides to the typed settings of a stack."""
