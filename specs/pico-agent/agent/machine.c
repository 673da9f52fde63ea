#include "machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "network.h"

enum { CGROUP_PATH = 600, MIN_ENTROPY = 32, MAX_ENTROPY = 512, MAX_VOLUMES = 64, DHCP_SECONDS = 10 };
static const char CGROUPS[] = "/sys/fs/cgroup";

struct machine machine = {.stage = ""};
/* Have /proc, /sys and /dev gone where the container sees them? */
static bool moved;

struct settings {
    uint8_t entropy[MAX_ENTROPY];
    size_t entropy_size;
    uint64_t clock;
    const char *hostname, *machine_id, *network, *address, *gateway, *root, *rootfs;
    bool readonly, with_mac;
    uint8_t mac[6];
    size_t dns_count, volume_count, tmpfs_count;
    const char *dns[MAX_DNS], *volumes[MAX_VOLUMES], *tmpfs[MAX_VOLUMES];
};

static const char *staged(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s%s", machine.stage, name);
    return path;
}

/* -- before SETUP */

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
enum identity { MACHINE_ID, HOSTNAME, HOSTS, RESOLV_CONF, IDENTITY_FILES };
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

static bool write_identity_file(enum identity which, const char *text, struct failure *failure)
{
    size_t size = strlen(text);
    bool done = write(identity_files[which], text, size) == (ssize_t)size;
    int error = errno;

    close(identity_files[which]);
    return done || fail(failure, error, "cannot write /etc/%s", identity_names[which]);
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

/* A word of the kernel's command line, "name=value". */
static bool command_line(const char *name, char *value, size_t room)
{
    char text[4096];
    size_t length = strlen(name);
    int fd = open(staged("/own/proc/cmdline"), O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    for (char *rest = text, *word; (word = strsep(&rest, " \n")) != NULL;) {
        if (strncmp(word, name, length) == 0 && word[length] == '=') {
            snprintf(value, room, "%s", word + length + 1);
            return true;
        }
    }
    return false;
}

/* The address that the host will most likely want: with pico.address and pico.gateway on the command line the card has
   it already, and SETUP finds nothing to do. */
static struct lease expected;

static bool expect_address(struct failure *failure)
{
    char address[64], gateway[64] = "";
    struct in_addr parsed = {0};

    if (machine.test || !card_exists())
        return true;
    write_setting(staged("/own/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
    if (!command_line("pico.address", address, sizeof address))
        return true;
    if (!parse_cidr(address, &expected.address, &expected.mask))
        return fail(failure, EINVAL, "pico.address=%s", address);
    if (command_line("pico.gateway", gateway, sizeof gateway) && inet_pton(AF_INET, gateway, &parsed) != 1)
        return fail(failure, EINVAL, "pico.gateway=%s", gateway);
    expected.gateway = parsed.s_addr;
    return card_up(failure) && use_lease(&expected, failure);
}

void machine_begin(void)
{
    int fd;

    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL);
    /* The console may come up later than we do: then the first three descriptors are not open. */
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd > STDERR_FILENO)
        close(fd);
}

bool machine_prepare(struct failure *failure)
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
        return false;
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
                mount_own("mqueue", "/own/dev/mqueue", plain, NULL, failure);
    if (!done)
        return false;
    if (mount_at("cgroup2", staged("/own/sys/fs/cgroup"), "cgroup2", plain, "nsdelegate",
                 machine.test ? &ignored : failure))
        enable_controllers(staged("/own/sys/fs/cgroup"));
    else if (!machine.test)
        return false;
    return loopback_up(failure) && expect_address(failure);
}

/* -- SETUP */

static bool yes_or_no(const char *value, bool *result)
{
    *result = strcmp(value, "yes") == 0;
    return *result || strcmp(value, "no") == 0;
}

static bool is_hostname(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");

    return size > 0 && size < sizeof machine.hostname && name[size] == '\0';
}

static bool is_machine_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static bool read_settings(const struct frame *frame, struct settings *settings, struct failure *failure)
{
    struct records records = records_of(frame);
    const char *key, *value;

    *settings = (struct settings){.network = "none", .rootfs = "erofs"};
    while (records_next(&records, &key, &value)) {
        bool good = true;
        if (strcmp(key, "entropy") == 0)
            good = parse_hex(value, settings->entropy, MAX_ENTROPY, &settings->entropy_size);
        else if (strcmp(key, "clock") == 0)
            good = parse_number(value, INT64_MAX, &settings->clock);
        else if (strcmp(key, "hostname") == 0)
            good = is_hostname(settings->hostname = value);
        else if (strcmp(key, "machine-id") == 0)
            good = is_machine_id(settings->machine_id = value);
        else if (strcmp(key, "mac") == 0)
            good = settings->with_mac = parse_mac(value, settings->mac);
        else if (strcmp(key, "network") == 0)
            settings->network = value;
        else if (strcmp(key, "address") == 0)
            settings->address = value;
        else if (strcmp(key, "gateway") == 0)
            settings->gateway = value;
        else if (strcmp(key, "dns") == 0)
            good = settings->dns_count < MAX_DNS && (settings->dns[settings->dns_count++] = value);
        else if (strcmp(key, "root") == 0)
            settings->root = value;
        else if (strcmp(key, "rootfs") == 0)
            settings->rootfs = value;
        else if (strcmp(key, "volume") == 0)
            good = settings->volume_count < MAX_VOLUMES && (settings->volumes[settings->volume_count++] = value);
        else if (strcmp(key, "tmpfs") == 0)
            good = settings->tmpfs_count < MAX_VOLUMES && (settings->tmpfs[settings->tmpfs_count++] = value);
        else if (strcmp(key, "readonly") == 0)
            good = yes_or_no(value, &settings->readonly);
        if (!good)
            return fail(failure, 0, "SETUP cannot have %s=%.100s", key, strcmp(key, "entropy") ? value : "...");
    }
    if (settings->entropy_size < MIN_ENTROPY)
        return fail(failure, 0, "SETUP needs %d bytes of entropy, got %zu", MIN_ENTROPY, settings->entropy_size);
    if (!settings->clock || !settings->hostname || !settings->machine_id || !settings->root)
        return fail(failure, 0, "SETUP needs clock, hostname, machine-id and root");
    return true;
}

/* The generator's state came with the template: nothing may be drawn from it before this. */
static bool reseed(const struct settings *settings, struct failure *failure)
{
    struct {
        struct rand_pool_info info;
        uint8_t bytes[MAX_ENTROPY];
    } pool = {.info = {.entropy_count = (int)settings->entropy_size * 8, .buf_size = (int)settings->entropy_size}};
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return fail(failure, errno, "/dev/urandom");
    memcpy(pool.bytes, settings->entropy, settings->entropy_size);
    bool done = ioctl(fd, RNDADDENTROPY, &pool) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0;
    int error = errno;
    close(fd);
    explicit_bzero(&pool, sizeof pool);
    return done || fail(failure, error, "cannot reseed the random number generator");
}

static bool become_someone(const struct settings *settings, struct failure *failure)
{
    struct timespec now = {(time_t)(settings->clock / 1000000000), (long)(settings->clock % 1000000000)};

    if (!machine.test) {
        if (!reseed(settings, failure))
            return false;
        if (clock_settime(CLOCK_REALTIME, &now) < 0)
            return fail(failure, errno, "cannot set the clock");
    }
    snprintf(machine.hostname, sizeof machine.hostname, "%s", settings->hostname);
    if (sethostname(machine.hostname, strlen(machine.hostname)) < 0)
        return fail(failure, errno, "cannot set the host name");
    return true;
}

static bool mount_image(const struct settings *settings, struct failure *failure)
{
    const char *image = staged("/image");
    char path[600];
    struct stat status;

    if (strcmp(settings->rootfs, "directory") == 0 && machine.test) {
        if (!mount_at(settings->root, image, NULL, MS_BIND, NULL, failure))
            return false;
    } else if (!mount_at(settings->root, image, settings->rootfs, MS_RDONLY | MS_NOATIME | MS_SILENT, NULL, failure)) {
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

static bool mount_overlay(struct failure *failure)
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

static bool enter_root(struct failure *failure)
{
    if (!move_own("proc", failure) || !move_own("sys", failure) || !move_own("dev", failure))
        return false;
    if (chdir(staged("/root")) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return fail(failure, errno, "cannot enter the root");
    moved = true;
    return true;
}

/* Something to mount a single file on. */
static bool make_file(const char *path, struct failure *failure)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int fd;

    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (folder[0] && !make_directories(folder, failure))
        return false;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(failure, errno, "cannot make %s", path);
    close(fd);
    return true;
}

static bool mount_share(const char *tag, const char *target, bool readonly, struct failure *failure)
{
    return make_directories(target, failure) &&
           mount_at(tag, target, "9p", readonly ? MS_RDONLY : 0,
                    "trans=virtio,version=9p2000.L,msize=65536,cache=mmap,access=any", failure);
}

/* One file or folder of a share: the share itself is seen by nobody. */
static bool mount_part(const char *tag, const char *part, const char *target, bool readonly, struct failure *failure)
{
    static const char aside[] = "/.share";
    char path[512];
    struct stat status;

    if (!mount_share(tag, aside, readonly, failure))
        return false;
    snprintf(path, sizeof path, "%s/%s", aside, part);
    bool done = stat(path, &status) == 0 || fail(failure, errno, "%s of volume %s", part, tag);
    if (done)
        done = S_ISDIR(status.st_mode) ? make_directories(target, failure) : make_file(target, failure);
    if (done)
        done = mount_at(path, target, NULL, MS_BIND, NULL, failure);
    umount2(aside, MNT_DETACH);
    rmdir(aside);
    return done;
}

/* "TAG:TARGET:ro|rw" or "TAG/PART:TARGET:ro|rw" */
static bool mount_volume(const char *volume, struct failure *failure)
{
    char source[400], target[4096];
    const char *first = strchr(volume, ':'), *last = strrchr(volume, ':');
    bool readonly = last && strcmp(last, ":ro") == 0;

    if (first == NULL || last <= first || first == volume || (size_t)(first - volume) >= sizeof source ||
        (size_t)(last - first) > sizeof target || (!readonly && strcmp(last, ":rw") != 0))
        return fail(failure, 0, "not a volume (TAG:TARGET:ro or rw): %.200s", volume);
    snprintf(source, sizeof source, "%.*s", (int)(first - volume), volume);
    snprintf(target, sizeof target, "%.*s", (int)(last - first - 1), first + 1);
    if (target[0] != '/' || strcmp(target, "/") == 0)
        return fail(failure, 0, "the target of a volume must be an absolute path other than /: %.200s", target);
    char *slash = strchr(source, '/');
    if (slash == NULL)
        return mount_share(source, target, readonly, failure);
    *slash = '\0';
    return mount_part(source, slash + 1, target, readonly, failure);
}

/* "TARGET" or "TARGET:OPTIONS" */
static bool mount_tmpfs(const char *value, struct failure *failure)
{
    char target[4096], options[512];
    const char *colon = strchr(value, ':');
    size_t size = colon ? (size_t)(colon - value) : strlen(value);

    if (size < 2 || size >= sizeof target || value[0] != '/')
        return fail(failure, 0, "the target of a tmpfs must be an absolute path other than /: %.200s", value);
    snprintf(target, sizeof target, "%.*s", (int)size, value);
    snprintf(options, sizeof options, "%s", colon && colon[1] ? colon + 1 : "mode=1777");
    return make_directories(target, failure) &&
           mount_at("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, failure);
}

static bool set_up_network(const struct settings *settings, struct lease *lease, struct failure *failure)
{
    struct in_addr gateway = {0};
    bool dhcp = strcmp(settings->network, "dhcp") == 0;

    *lease = (struct lease){0};
    if (settings->with_mac && card_exists() && !set_mac(settings->mac, failure))
        return false;
    if (strcmp(settings->network, "none") == 0)
        return !expected.address || card_down(failure);
    if (!dhcp) {
        if (strcmp(settings->network, "static") != 0)
            return fail(failure, 0, "SETUP cannot have network=%.100s", settings->network);
        if (!settings->address || !parse_cidr(settings->address, &lease->address, &lease->mask))
            return fail(failure, 0, "a static network needs address=A.B.C.D/BITS");
        if (settings->gateway && inet_pton(AF_INET, settings->gateway, &gateway) != 1)
            return fail(failure, 0, "not an address: gateway=%.100s", settings->gateway);
        lease->gateway = gateway.s_addr;
        if (lease->address == expected.address && lease->mask == expected.mask && lease->gateway == expected.gateway)
            return true;
    }
    if (expected.address && !card_down(failure))
        return false;
    return card_up(failure) && (!dhcp || ask_for_lease(DHCP_SECONDS, lease, failure)) && use_lease(lease, failure);
}

static const char *dotted(in_addr_t address, char text[static INET_ADDRSTRLEN])
{
    return inet_ntop(AF_INET, &(struct in_addr){address}, text, INET_ADDRSTRLEN);
}

static bool write_identity(const struct settings *settings, const struct lease *lease, struct failure *failure)
{
    char text[2048], address[INET_ADDRSTRLEN];
    int size = 0;

    snprintf(text, sizeof text, "%s\n", settings->machine_id);
    if (!write_identity_file(MACHINE_ID, text, failure))
        return false;
    snprintf(text, sizeof text, "%s\n", machine.hostname);
    if (!write_identity_file(HOSTNAME, text, failure))
        return false;
    snprintf(text, sizeof text,
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
             "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n%s\t%s\n",
             lease->address ? dotted(lease->address, address) : "127.0.1.1", machine.hostname);
    if (!write_identity_file(HOSTS, text, failure))
        return false;
    text[0] = '\0';
    if (lease->domain[0])
        size = snprintf(text, sizeof text, "search %s\n", lease->domain);
    for (size_t at = 0; at < settings->dns_count; at++)
        size += snprintf(text + size, sizeof text - (size_t)size, "nameserver %.64s\n", settings->dns[at]);
    for (size_t at = 0; settings->dns_count == 0 && at < lease->dns_count; at++)
        size += snprintf(text + size, sizeof text - (size_t)size, "nameserver %s\n", dotted(lease->dns[at], address));
    return write_identity_file(RESOLV_CONF, text, failure);
}

bool machine_setup(const struct frame *frame, struct payload *answer, struct failure *failure)
{
    struct settings settings;
    struct lease lease;
    char address[INET_ADDRSTRLEN];

    if (!read_settings(frame, &settings, failure) || !become_someone(&settings, failure))
        return false;
    if (!mount_image(&settings, failure) || !set_up_network(&settings, &lease, failure) ||
        !write_identity(&settings, &lease, failure) || !mount_overlay(failure) || !enter_root(failure))
        return false;
    for (size_t at = 0; at < settings.volume_count; at++)
        if (!mount_volume(settings.volumes[at], failure))
            return false;
    for (size_t at = 0; at < settings.tmpfs_count; at++)
        if (!mount_tmpfs(settings.tmpfs[at], failure))
            return false;
    if (settings.readonly && mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOATIME, NULL) < 0)
        return fail(failure, errno, "cannot make the root read-only");
    if (lease.address)
        payload_add(answer, "address", "%s/%d", dotted(lease.address, address), prefix_of(lease.mask));
    if (lease.gateway)
        payload_add(answer, "gateway", "%s", dotted(lease.gateway, address));
    explicit_bzero(&settings, sizeof settings);
    return true;
}

/* -- control groups, and the end */

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

_Noreturn void machine_off(void)
{
    sync();
    if (!machine.test)
        reboot(RB_AUTOBOOT);
    _exit(0);
}
