"""What surrounds every program: files, locks, processes, signals and the terminal. Imports no other wing."""
