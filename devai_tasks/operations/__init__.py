"""What a task does in several steps: settings in, artefacts and tools put to work.

Tasks parse and report; adaptors know one program each. What needs both lives here.
"""
