"""Tags by which runs, models and experiments are found again, whoever made them."""

STUDY_TAG = "insects.study"
TRIAL_TAG = "insects.trial"
ROLE_TAG = "insects.role"
"""What a run is: `search`, `trial`, `evaluation`, and of descriptions `table` or `images`."""
IDENTITY_TAG = "insects.identity"
"""Digest of what a study began as: two studies can have one name, in two stores or one after the other."""
