"""The installer on the live medium: a kickstart becomes a plan, the plan an installed disk.

kickstart/ reads and checks the file, fetch/ gets files and packages, machine/ gathers what is known of the machine,
plan/ makes the steps of these, `execute` performs them. Without a kickstart `questions` asks for the few values of one.

It runs in a layer over the live root with nothing but Python's standard library and PyYAML. SHIPPED is what that
layer takes of this package; `photonbuild kickstart` uses the same modules on the host.
"""

from __future__ import annotations

SHIPPED = ("__init__.py", "errors.py", "run.py", "documents.py", "disk", "installer")
