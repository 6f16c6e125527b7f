"""Figures and files about a study, without MLflow. Imports `study`, `store`, `system`."""
