module devai-tasks.invalid/test_pod

go 1.26.0
