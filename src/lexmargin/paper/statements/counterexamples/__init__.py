"""Points where a literal reading fails, each on named instances."""
