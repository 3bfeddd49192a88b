"""Training objectives: a file and a `tasks.Task` each, by the task's name in `registry.TASKS`."""
