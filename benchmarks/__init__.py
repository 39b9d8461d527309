"""Side-by-side measurements against peers: each compares in one run, and prints ratios."""
