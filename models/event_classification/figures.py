"""The figures of this model."""

