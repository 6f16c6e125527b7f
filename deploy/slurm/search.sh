#!/bin/bash
#SBATCH --job-name=insects-search
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --requeue
# A search on the cluster of cluster.py. The store is on the shared file system: a job that is started again goes on.
source /shared/venv/bin/activate
insects-search --trials 2000 --sampler qmc --cluster /shared/scheduler.json --store /shared/mlruns
