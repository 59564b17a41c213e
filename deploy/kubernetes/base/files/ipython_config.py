"""IPython in a cluster: what SQLite writes is on the pod's own disk, for it can't lock files of a network's."""

c = get_config()  # noqa: F821 (IPython puts it here)

c.HistoryManager.hist_file = "/tmp/history.sqlite"  # noqa: S108 - an emptyDir of the pod's own
