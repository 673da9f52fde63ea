/* What the boot loader sees of a file system. */
#ifndef DISK_H
#define DISK_H

/* The disk has what was written to this file system. */
void flush(const char *path);
/* GRUB reads a file system without its journal: after this it sees what is there now. */
void make_visible(const char *path);

#endif
