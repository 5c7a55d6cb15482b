"""The benchmark: every figure beside what it is compared with, in the same run, on a private stack. Started by tests/bench/run."""
