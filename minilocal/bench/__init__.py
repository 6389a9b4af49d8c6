"""Seconds: training steps and their operations, beside PyTorch and beside the roofline of this machine."""
