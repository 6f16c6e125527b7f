"""The study: settings, data, sampler, pruner and loop, with Optuna and without MLflow. Imports `store`, `system`."""
