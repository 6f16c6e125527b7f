"""The runs of a study in MLflow. Imports `reports`, `study`, `store`, `system`."""
