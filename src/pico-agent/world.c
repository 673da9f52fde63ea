#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "machine.h"

enum { CGROUP_PATH = 600 };
static const char CGROUPS[] = "/sys/fs/cgroup";

/* Have /proc, /sys and /dev gone where the container sees them? */
static bool moved;

const char *staged(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s%s", machine.stage, name);
    return path;
}

static bool make_device(const char *name, unsigned major, unsigned minor, struct failure *failure)
{
    char path[600], host[64];

    snprintf(path, sizeof path, "%s/%s", staged("/own/dev"), name);
    if (mknod(path, S_IFCHR | 0600, makedev(major, minor)) == 0)
        return chmod(path, 0666) == 0 || fail(failure, errno, "%s", path);
    if (errno != EPERM)
        return fail(failure, errno, "cannot make %s", path);
    /* Not our kernel, as in a test: the device is borrowed. */
    snprintf(host, sizeof host, "/dev/%s", name);
    return write_file(path, "", failure) && mount_at(host, path, NULL, MS_BIND, NULL, failure);
}

static bool make_link(const char *target, const char *name, struct failure *failure)
{
    char path[600];

    snprintf(path, sizeof path, "%s/%s", staged("/own/dev"), name);
    return symlink(target, path) == 0 || fail(failure, errno, "cannot make %s", path);
}

static bool make_devices(struct failure *failure)
{
    static const struct {
        const char *name;
        unsigned major, minor;
    } devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"}, {"fd/0", "stdin"}, {"fd/1", "stdout"}, {"fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
    };

    for (size_t at = 0; at < sizeof devices / sizeof devices[0]; at++)
        if (!make_device(devices[at].name, devices[at].major, devices[at].minor, failure))
            return false;
    for (size_t at = 0; at < sizeof links / sizeof links[0]; at++)
        if (!make_link(links[at][0], links[at][1], failure))
            return false;
    return true;
}

/* What is written anew for each machine lies in the overlay's upper layer from the beginning: there it hides what the
   image has under these names, without a copy or a whiteout. The descriptors wait for the content. */
static const char *const identity_names[] = {"machine-id", "hostname", "hosts", "resolv.conf"};
static int identity_files[IDENTITY_FILES];

static bool make_upper(struct failure *failure)
{
    static const char *const folders[] = {"/layer/work", "/layer/upper/etc", "/layer/upper/proc", "/layer/upper/sys",
                                          "/layer/upper/dev"};
    char path[600];

    for (size_t at = 0; at < sizeof folders / sizeof folders[0]; at++)
        if (!make_directories(staged(folders[at]), failure))
            return false;
    for (size_t at = 0; at < IDENTITY_FILES; at++) {
        snprintf(path, sizeof path, "%s/%s", staged("/layer/upper/etc"), identity_names[at]);
        identity_files[at] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (identity_files[at] < 0)
            return fail(failure, errno, "cannot make %s", path);
    }
    return true;
}

bool write_identity_file(enum identity_file which, const char *text, struct failure *failure)
{
    size_t size = strlen(text);
    bool done = write(identity_files[which], text, size) == (ssize_t)size;
    int error = errno;

    close(identity_files[which]);
    return done || fail(failure, error, "cannot write /etc/%s", identity_names[which]);
}

bool clear_identity_files(void)
{
    bool done = true;

    for (size_t at = 0; at < IDENTITY_FILES; at++)
        done = ftruncate(identity_files[at], 0) == 0 && lseek(identity_files[at], 0, SEEK_SET) == 0 && done;
    return done;
}

static bool mount_own(const char *type, const char *name, unsigned long flags, const char *options,
                      struct failure *failure)
{
    const char *path = staged(name);

    return make_directories(path, failure) && mount_at(type, path, type, flags, options, failure);
}

/* What the groups below may be limited in: each controller by itself, since one that is missing spoils the others. */
static void enable_controllers(const char *root)
{
    static const char *const controllers[] = {"+cpu", "+cpuset", "+io", "+memory", "+pids"};
    char path[600];

    snprintf(path, sizeof path, "%s/cgroup.subtree_control", root);
    for (size_t at = 0; at < sizeof controllers / sizeof controllers[0]; at++)
        write_setting(path, controllers[at]);
}

bool make_world(struct failure *failure)
{
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    struct failure ignored;

    umask(022);
    if (machine.test) {
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            return fail(failure, errno, "cannot make mounts private");
        if (!mount_at("tmpfs", machine.stage, "tmpfs", 0, NULL, failure))
            return false;
    }
    if (!make_directories(staged("/image"), failure) || !make_directories(staged("/root"), failure))
        return false; /* clang-format off */
    bool done = mount_own("tmpfs", "/layer", 0, "mode=0755", failure) &&
                make_upper(failure) &&
                mount_own("proc", "/own/proc", plain, NULL, failure) &&
                (mount_own("sysfs", "/own/sys", plain, NULL, failure) ||
                 (machine.test && mount_own("tmpfs", "/own/sys", plain, NULL, failure))) &&
                mount_own("tmpfs", "/own/dev", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m", failure) &&
                make_devices(failure) &&
                mount_own("devpts", "/own/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620",
                          failure) &&
                mount_own("tmpfs", "/own/dev/shm", plain, "mode=1777,size=64m", failure) &&
                mount_own("mqueue", "/own/dev/mqueue", plain, NULL, failure); /* clang-format on */
    if (!done)
        return false;
    if (mount_at("cgroup2", staged("/own/sys/fs/cgroup"), "cgroup2", plain, "nsdelegate",
                 machine.test ? &ignored : failure))
        enable_controllers(staged("/own/sys/fs/cgroup"));
    else if (!machine.test)
        return false;
    return true;
}

/* -- the root */

bool mount_image(const char *root, const char *type, struct failure *failure)
{
    const char *image = staged("/image");
    char path[600];
    struct stat status;

    if (strcmp(type, "directory") == 0 && machine.test) {
        if (!mount_at(root, image, NULL, MS_BIND, NULL, failure))
            return false;
    } else if (!mount_at(root, image, type, MS_RDONLY | MS_NOATIME | MS_SILENT, NULL, failure)) {
        return false;
    }
    snprintf(path, sizeof path, "%s/etc", image);
    if (lstat(path, &status) < 0)
        return true;
    if (!S_ISDIR(status.st_mode))
        return fail(failure, ENOTDIR, "/etc of the image");
    /* Ours stands for it. */
    const char *upper = staged("/layer/upper/etc");
    if ((status.st_uid || status.st_gid) && chown(upper, status.st_uid, status.st_gid) < 0)
        return fail(failure, errno, "/etc");
    if ((status.st_mode & 07777) != 0755 && chmod(upper, status.st_mode & 07777) < 0)
        return fail(failure, errno, "/etc");
    return true;
}

bool mount_overlay(struct failure *failure)
{
    char options[1700];

    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s,index=off,uuid=null%s", staged("/image"),
             staged("/layer/upper"), staged("/layer/work"), machine.test ? ",userxattr" : "");
    return mount_at("overlay", staged("/root"), "overlay", MS_NOATIME | MS_SILENT, options, failure);
}

static bool move_own(const char *name, struct failure *failure)
{
    char from[600], to[600];

    snprintf(from, sizeof from, "%s/%s", staged("/own"), name);
    snprintf(to, sizeof to, "%s/%s", staged("/root"), name);
    return mount_at(from, to, NULL, MS_MOVE, NULL, failure);
}

bool enter_root(struct failure *failure)
{
    if (!move_own("proc", failure) || !move_own("sys", failure) || !move_own("dev", failure))
        return false;
    if (chdir(staged("/root")) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return fail(failure, errno, "cannot enter the root");
    moved = true;
    return true;
}

/* -- control groups */

static void cgroup_path(uint16_t process, char path[static CGROUP_PATH])
{
    const char *root = moved ? "" : staged("/own");

    if (process == 0)
        snprintf(path, CGROUP_PATH, "%s%s/main", root, CGROUPS);
    else
        snprintf(path, CGROUP_PATH, "%s%s/process-%u", root, CGROUPS, process);
}

void enter_cgroup(uint16_t process, pid_t pid)
{
    char path[CGROUP_PATH], number[16];

    cgroup_path(process, path);
    mkdir(path, 0755);
    strcat(path, "/cgroup.procs");
    snprintf(number, sizeof number, "%d", (int)pid);
    write_setting(path, number);
}

void leave_cgroup(uint16_t process)
{
    char path[CGROUP_PATH];

    cgroup_path(process, path);
    rmdir(path);
}
