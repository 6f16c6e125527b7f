"""Keep a Dask cluster in SLURM's jobs: run it in a session on the login node, or in a job of its own.

pip install dask-jobqueue
python cluster.py 10
"""

import sys
import time

from dask_jobqueue import SLURMCluster

cluster = SLURMCluster(
    queue="regular",
    cores=16,
    processes=1,  # one worker a job, a thread a core
    memory="32GB",
    walltime="08:00:00",
    interface="ib0",
    job_script_prologue=["source /shared/venv/bin/activate"],
    scheduler_options={"scheduler_file": "/shared/scheduler.json"},
)
cluster.scale(jobs=int(sys.argv[1]))
while True:
    time.sleep(60)
