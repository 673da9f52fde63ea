// Package cgroup reads and steers the cgroup of a container: cgroup v2 only (the kernel's
// Documentation/admin-guide/cgroup-v2.rst), one systemd scope for each container.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// Slice holds every scope of ours.
const Slice = "gdn.slice"

// mount is where cgroup v2 is mounted.
const mount = "/sys/fs/cgroup"

// Group is a directory of the cgroup tree.
type Group string

// Scope is the name of a container's scope, in systemd's terms.
func Scope(id string) string { return "gdn-" + id + ".scope" }

// Path is a container's cgroup as runc's systemd driver takes it.
func Path(id string) string { return Slice + ":gdn:" + id }

// Of is a container's cgroup.
func Of(id string) Group { return Group(filepath.Join(mount, Slice, Scope(id))) }

// Sidecars lists runc's ids of the processes of a container that have a scope of their own.
func Sidecars(id string) []string {
	dirs, _ := filepath.Glob(filepath.Join(mount, Slice, Scope(id+"-*")))
	var ids []string
	for _, dir := range dirs {
		ids = append(ids, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "gdn-"), ".scope"))
	}
	return ids
}

// OfProcess is the cgroup that a process is in.
func OfProcess(pid int) (Group, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return Group(filepath.Join(mount, path)), nil
		}
	}
	return "", fmt.Errorf("process %d is in no cgroup of version 2", pid)
}

// Exists says whether it is there.
func (g Group) Exists() bool {
	_, err := os.Stat(string(g))
	return err == nil
}

// Processes lists the processes in the group and below it.
func (g Group) Processes() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(string(g), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return ignoreGone(err)
		}
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return ignoreGone(err)
		}
		for f := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || (err != nil && strings.Contains(err.Error(), "no such device")) {
		return nil
	}
	return err
}

// Kill kills everything in the group and waits until it is empty.
func (g Group) Kill(limit time.Duration) error {
	if err := os.WriteFile(filepath.Join(string(g), "cgroup.kill"), []byte("1"), 0); err != nil {
		return ignoreGone(err)
	}
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		populated, err := g.value("cgroup.events", "populated")
		if err != nil || populated == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes in %s are still there %s after SIGKILL", g, limit)
		}
	}
}

// OOMKilled says whether the kernel killed something for want of memory.
func (g Group) OOMKilled() bool {
	n, err := g.value("memory.events", "oom_kill")
	return err == nil && n > 0
}

// value returns one key of a flat keyed file.
func (g Group) value(file, key string) (uint64, error) {
	all, err := g.keyed(file)
	return all[key], err
}

func (g Group) keyed(file string) (map[string]uint64, error) {
	data, err := os.ReadFile(filepath.Join(string(g), file))
	if err != nil {
		return nil, err
	}
	return parseKeyed(string(data)), nil
}

func parseKeyed(text string) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				out[key] = n
			}
		}
	}
	return out
}

// single returns a file of one number; "max" is 0.
func (g Group) single(file string) uint64 {
	data, err := os.ReadFile(filepath.Join(string(g), file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// Metrics fills in what the cgroup knows.
func (g Group) Metrics(m *api.Metrics) error {
	memory, err := g.keyed("memory.stat")
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	m.MemoryStat = memoryStat(memory, g.single("memory.max"), g.single("memory.swap.max"), g.single("memory.swap.current"))
	cpu, err := g.keyed("cpu.stat")
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	m.CPUStat = api.CPUStat{Usage: cpu["usage_usec"] * 1000, User: cpu["user_usec"] * 1000, System: cpu["system_usec"] * 1000}
	m.PidStat = api.PidStat{Current: g.single("pids.current"), Max: g.single("pids.max")}
	return nil
}

// memoryStat renames the keys of cgroup v2's memory.stat, which counts the whole subtree, to
// those of v1 that Garden's API has. Pgpgin and Pgpgout have no counterpart and stay 0.
func memoryStat(s map[string]uint64, limit, swapLimit, swap uint64) api.MemoryStat {
	if limit == 0 {
		limit = math.MaxInt64 &^ 4095 // how v1 says unlimited
	}
	memsw := uint64(math.MaxInt64 &^ 4095)
	if limit < memsw-swapLimit {
		memsw = limit + swapLimit
	}
	m := api.MemoryStat{
		ActiveAnon: s["active_anon"], ActiveFile: s["active_file"], InactiveAnon: s["inactive_anon"], InactiveFile: s["inactive_file"],
		Cache: s["file"], Rss: s["anon"], MappedFile: s["file_mapped"], Unevictable: s["unevictable"],
		Anon: s["anon"], File: s["file"], SwapCached: s["swapcached"],
		Pgfault: s["pgfault"], Pgmajfault: s["pgmajfault"], Swap: swap,
		HierarchicalMemoryLimit: limit, HierarchicalMemswLimit: memsw,
	}
	m.TotalActiveAnon, m.TotalActiveFile, m.TotalInactiveAnon, m.TotalInactiveFile = m.ActiveAnon, m.ActiveFile, m.InactiveAnon, m.InactiveFile
	m.TotalCache, m.TotalRss, m.TotalMappedFile, m.TotalUnevictable = m.Cache, m.Rss, m.MappedFile, m.Unevictable
	m.TotalPgfault, m.TotalPgmajfault, m.TotalSwap = m.Pgfault, m.Pgmajfault, m.Swap
	m.TotalUsageTowardLimit = m.TotalRss + m.TotalCache - min(m.TotalCache, m.TotalInactiveFile)
	return m
}

// InitTasks is how many tasks (threads) our own first process of a container has; a container's
// limit of tasks is raised by so many.
const InitTasks = 6

// Resources are the limits as the runtime specification has them.
func Resources(l api.Limits) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{}
	if n := l.Memory.LimitInBytes; n != 0 {
		if n > math.MaxInt64 {
			return nil, fmt.Errorf("memory_limits.limit_in_bytes %d is too large", n)
		}
		limit := int64(n)
		r.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit} // memory and swap together: no swap
	}
	if shares := l.CPU.Shares(); shares != 0 {
		if shares < 2 || shares > 262144 {
			return nil, fmt.Errorf("cpu_limits: %d shares are not within 2 and 262144", shares)
		}
		r.CPU = &specs.LinuxCPU{Shares: &shares}
	}
	unlimited := int64(-1) // said plainly, for systemd has a limit of its own
	r.Pids = &specs.LinuxPids{Limit: &unlimited}
	if n := l.Pid.Max; n != 0 {
		if n > 4<<20 {
			return nil, fmt.Errorf("pid_limits.max %d is more than the kernel can have", n)
		}
		limit := int64(n) + InitTasks
		r.Pids.Limit = &limit
	}
	return r, nil
}
