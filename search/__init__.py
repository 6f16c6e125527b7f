"""The search: Optuna proposes, `insects` trains, MLflow tracks, Click commands.

Imports go down this list only: cli, commands, upload, registry, tracking, reports, study, store, system.
"""
