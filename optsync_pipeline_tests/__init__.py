"""The tests: test_<module>.py one to one, whole-program tests in integration/. Real PostgreSQL always."""
