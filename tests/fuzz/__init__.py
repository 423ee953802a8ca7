"""Fuzzing by coverage: ``python -m tests.fuzz``. Not part of the test run; needs atheris, which runs on Linux only."""
