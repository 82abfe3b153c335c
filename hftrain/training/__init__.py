"""Training: arguments, callbacks, the loop that resumes, and the plan of a run."""
