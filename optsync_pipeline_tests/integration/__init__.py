"""Tests of several rooms at once: processes, kills, Dagster, the command line."""
