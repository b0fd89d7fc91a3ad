"""Many posteriors in one program: padding, triage, devices and machines."""
