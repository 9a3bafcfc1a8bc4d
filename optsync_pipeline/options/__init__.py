"""Option arithmetic on arrays: no I/O, no clock, no pandas."""
