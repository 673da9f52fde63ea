/* The machine around the processes: mounts, devices, identity, network. */
#ifndef MACHINE_H
#define MACHINE_H

#include "frame.h"
#include "util.h"

/* Where things are made before they become the root. In a test nothing is set that belongs to the whole kernel, the
   root comes from a directory, and the end is exit(3). */
struct machine {
    bool test;
    /* In a rehearsal: its program has ended well. */
    bool rehearsed;
    const char *stage;
    char hostname[65];
    /* What the kernel takes the time from. */
    char clock[32];
};

extern struct machine machine;

/* Devices, and something behind the first three descriptors. */
void machine_begin(void);
/* All that does not depend on SETUP, so that a clone finds it done. */
bool machine_prepare(struct failure *failure);
/* SETUP: entropy first, then everything else; afterwards we live in the container's root. */
bool machine_setup(const struct frame *frame, struct payload *answer, struct failure *failure);
/* The records of a SETUP with the network as it is expected already. */
void machine_describe_network(struct payload *payload);
/* Put a process into a control group of its own, which is made; 0 is the main one. Without control groups (in a test)
   nothing happens. */
void enter_cgroup(uint16_t process, pid_t pid);
void leave_cgroup(uint16_t process);
_Noreturn void machine_off(void);

#endif
