"""Inference drivers: functions on a `Target` with one call and one result, `Draws`."""
