/* Where things are, and the variables that GRUB's menu and these programs share. */
#ifndef PATHS_H
#define PATHS_H

/* Tests have a folder in its place. */
#ifndef ROOT
#define ROOT ""
#endif
#define ENV_FILE ROOT "/boot/grub/grubenv"
#define STATE ROOT "/.update"
#define PREVIOUS STATE "/previous"
#define FAILED_TREE STATE "/failed"
#define MARK ".before-update" /* in a tree that was kept, until it is back in its place */
#define REVERT STATE "/revert"
#define MODULES "/usr/lib/modules"
#define CLIENT "/var/lib/tdnf"
#define DATABASE "/usr/lib/sysimage/rpm"

#define KERNELS "kernels"      /* versions that are installed, the newest first */
#define GOOD "good_kernel"     /* the one that was running when a boot was last found good */
#define COUNTER "boot_counter" /* tries that are left */
#define FALLBACK "fallback"    /* the kernel in the kept tree; set while an update is on trial */
#define UNDONE "update_undone" /* 1: the tries were used up, and the kept trees are back */

#endif
