"""Configuration: the typed settings of a stack, from `conf/` and overrides."""
