"""Configuration of IPython in a cluster: SQLite uses the pod's disk, because it can't lock files on network volumes."""

c = get_config()  # noqa: F821 (defined by IPython)

c.HistoryManager.hist_file = "/tmp/history.sqlite"  # noqa: S108 - /tmp is an emptyDir of the pod
