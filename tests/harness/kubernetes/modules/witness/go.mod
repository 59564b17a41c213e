module devai-tasks.invalid/witness

go 1.26.0
