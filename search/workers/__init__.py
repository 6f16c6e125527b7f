"""Where a study is trained: in threads, by any executor, or on a Dask cluster. Imports `system`."""
