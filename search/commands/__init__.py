"""What each command does, one file a command. Imports `upload` and the wings below it."""
