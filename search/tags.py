"""Tags by which runs, models and experiments are found again, whoever made them."""

STUDY_TAG = "insects.study"
TRIAL_TAG = "insects.trial"
ROLE_TAG = "insects.role"
"""What a run is: `search`, `trial`, `evaluation` or `table`."""
