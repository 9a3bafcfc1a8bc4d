"""A local option market that speaks the vendors' protocols. Not a real market: for demo, tests and load tests."""
