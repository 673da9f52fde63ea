"""The installer on the live medium: a kickstart becomes a plan, the plan an installed disk.

kickstart/ reads and checks the file, fetch/ gets files and packages, machine/ gathers what is known of the machine,
plan/ makes the steps of these, `execute` performs them. Without a kickstart `questions` asks for the few values of one.

It runs in a layer over the live root with nothing but Python's standard library and PyYAML. That layer takes what the
program imports, and no more; `photonbuild kickstart` uses the same modules on the host.
"""
