"""Runs one acceptance check of the shared folder, from a root that has build/release/hearth.

    run_accept.py CHECK ROOT        exit status 77: the check is not there
"""
import os
import subprocess
import sys

check, root = sys.argv[1:]
if not os.path.exists(check):
    print(f"skipped: {check} is not there")
    sys.exit(77)
sys.exit(subprocess.run([sys.executable, check], cwd=root).returncode)
