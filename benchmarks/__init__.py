"""What is measured, one file a question; each prints ratios from one run."""
