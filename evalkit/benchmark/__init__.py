"""What a benchmark is: tasks, protocols, what is asked and read, and what that is called in a signature."""
