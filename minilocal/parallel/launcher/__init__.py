"""Ranks on one machine: started, watched, and followed to their end.

In the process that starts them, `launch` and `relaunch` build a `command`, whose ranks are a `watch`; `follow` passes
on what they print and what stops them. In a rank, `rank.run` does the work, and `cause` says why it failed. The two
meet in a private folder.
"""
