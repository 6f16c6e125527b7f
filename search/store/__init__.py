"""The results on disk, from which everything else can be made again. Imports `system`."""
