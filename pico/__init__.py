"""A container image as a virtual machine of its own. Where things are; a line imports from those above it.

protocol messages session         the frames between host and agent, see docs/reference/pico-protocol.md
settings hardware host            what every machine has in common; the command line of QEMU
oci/ images                       an image as it was found or pulled → one read-only disk in the store
jail limits qmp state launch      one QEMU: namespaces, control groups, its monitor, its folder, its start
template zygote spares birth      how a machine comes to life: booted, cloned, copied, or taken from those that wait
options request parser            what was asked for
run control terminal              a container from its start to its exit code; what is done to one that runs
listing tidy context              tables; what goes; where things are
bench/                            figures
"""
