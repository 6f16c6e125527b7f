"""The study: settings, data, sampler, pruner and loop; Optuna, no MLflow. Imports `workers`, `store`, `system`."""
