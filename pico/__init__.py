"""A container image as a virtual machine of its own. The rooms, each above what it imports:

builder settings   what pico needs of the builder: seeds, boot files, store, sandbox; ``build/pico.yaml``
guest/             the agent in a machine: frames, messages, one conversation; see docs/reference/pico-protocol.md
oci/               an image as it was found or pulled → one read-only disk in the image store
vm/                one machine: QEMU's command line, jail, control groups, folder, start; what this host has for it
factory/           where machines come from: cold boot, template, zygote, pool
containers/        run, exec, logs, stop, list, collect: for whoever asks, without a command line or a terminal
context            where one call works
bench/             figures
cli/               the command: parser, values of options, commands, the caller's terminal
"""
