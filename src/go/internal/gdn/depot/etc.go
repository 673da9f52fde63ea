package depot

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// etc writes the container's hosts, hostname and resolv.conf.
func (d *Depot) etc(s State) error {
	resolver, err := d.resolver()
	if err != nil {
		return err
	}
	dir := d.etcDir(s)
	if err := d.makeSearchable(dir); err != nil {
		return err
	}
	name := hostname(s.Handle)
	hosts := fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", s.Lease.IP, name)
	for _, e := range d.c.HostEntries {
		hosts += e + "\n"
	}
	for _, f := range []struct{ name, text string }{{"hosts", hosts}, {"hostname", name + "\n"}, {"resolv.conf", resolver}} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask says
			return err
		}
		root := d.c.hostID(s.Privileged, 0)
		if err := os.Chown(path, root, root); err != nil {
			return err
		}
	}
	return nil
}

// etcDir is where they lie: what a container writes to them counts with what else it writes.
func (d *Depot) etcDir(s State) string {
	dir := filepath.Join(d.dir(s.ID), "etc")
	if _, err := os.Stat(dir); err == nil || s.Limits.Disk.ByteHard == 0 { // there: made by an older server
		return dir
	}
	return filepath.Join(d.diskDir(s.ID), "etc")
}

// etcMounts are those of what etc wrote.
func (d *Depot) etcMounts(s State) []specs.Mount {
	var mounts []specs.Mount
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		mounts = append(mounts, specs.Mount{Destination: "/etc/" + name, Source: filepath.Join(d.etcDir(s), name),
			Type: "bind", Options: []string{"bind", "rw", "nosuid", "nodev"}})
	}
	return mounts
}

// resolver is the text of resolv.conf: the host's, or the servers that the command line names.
func (d *Depot) resolver() (string, error) {
	if len(d.c.DNS) > 0 {
		return nameservers(d.c.DNS) + nameservers(d.c.MoreDNS), nil
	}
	var text string
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		data, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return "", fmt.Errorf("name servers of the host: %w", err)
		}
		if text = reachable(string(data)); strings.Contains(text, "nameserver ") {
			break
		}
	}
	return text + nameservers(d.c.MoreDNS), nil
}

func nameservers(list []netip.Addr) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	return b.String()
}

// reachable is a resolv.conf without the servers that only the host itself can reach.
func reachable(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] == "nameserver" && len(fields) > 1 {
			if a, err := netip.ParseAddr(fields[1]); err == nil && a.IsLoopback() {
				continue
			}
		}
		b.WriteString(strings.Join(fields, " ") + "\n")
	}
	return b.String()
}
