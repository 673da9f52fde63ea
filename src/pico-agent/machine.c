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
#include <time.h>
#include <unistd.h>

#include "network.h"
#include "world.h"

enum { MIN_ENTROPY = 32, MAX_ENTROPY = 512, MAX_VOLUMES = 64, DHCP_SECONDS = 10 };

struct machine machine = {.stage = ""};

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

/* -- before SETUP */

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

static const char *dotted(in_addr_t address, char text[static INET_ADDRSTRLEN])
{
    return inet_ntop(AF_INET, &(struct in_addr){address}, text, INET_ADDRSTRLEN);
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

void machine_describe_network(struct payload *payload)
{
    char text[INET_ADDRSTRLEN];

    payload_add(payload, "network", expected.address ? "static" : "none");
    if (!expected.address)
        return;
    payload_add(payload, "mac", "52:54:00:12:34:56");
    payload_add(payload, "address", "%s/%d", dotted(expected.address, text), prefix_of(expected.mask));
    if (expected.gateway)
        payload_add(payload, "gateway", "%s", dotted(expected.gateway, text));
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

/* An idle machine does nothing: no compaction twice a second, no counters every second. With a coarse clock there would
   be ticks: the host is told. */
static void be_quiet(void)
{
    if (machine.test)
        return;
    write_setting(staged("/own/proc/sys/vm/compaction_proactiveness"), "0");
    write_setting(staged("/own/proc/sys/vm/stat_interval"), "3600");
    int fd = open(staged("/own/sys/devices/system/clocksource/clocksource0/current_clocksource"), O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, machine.clock, sizeof machine.clock - 1);
    machine.clock[size > 0 ? size : 0] = '\0';
    machine.clock[strcspn(machine.clock, "\n")] = '\0';
    close(fd);
}

bool machine_prepare(struct failure *failure)
{
    return make_world(failure) && (be_quiet(), true) && loopback_up(failure) && expect_address(failure);
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
    if (!mount_image(settings.root, settings.rootfs, failure) || !set_up_network(&settings, &lease, failure) ||
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

/* -- the end */

_Noreturn void machine_off(void)
{
    sync();
    if (!machine.test)
        reboot(RB_AUTOBOOT);
    _exit(0);
}
