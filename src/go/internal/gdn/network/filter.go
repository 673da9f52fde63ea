package network

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// Filter keeps the packet filter in step with the containers.
type Filter struct {
	policy   Policy
	iptables string // path of iptables; iptables-restore lies beside it
	mu       sync.Mutex
	all      map[string]Endpoint
}

// NewFilter makes one; nothing is changed before Start.
func NewFilter(p Policy, iptables string) *Filter {
	return &Filter{policy: p, iptables: iptables, all: map[string]Endpoint{}}
}

// Start makes the shared chains and those of the containers that exist, removes the chains of
// those that do not, and leads the built-in chains into ours.
func (f *Filter) Start(existing []Endpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range existing {
		f.all[e.ID] = e
	}
	stale, err := f.stale()
	if err != nil {
		return err
	}
	if err := f.apply(existing, stale); err != nil {
		return err
	}
	for _, h := range hooks() {
		check := append([]string{"-w", "-t", h.table, "-C", h.chain}, h.rule...)
		if exec.Command(f.iptables, check...).Run() == nil {
			continue
		}
		insert := append([]string{"-w", "-t", h.table, "-I", h.chain, "1"}, h.rule...)
		if out, err := exec.Command(f.iptables, insert...).CombinedOutput(); err != nil {
			return fmt.Errorf("iptables %s: %w: %s", strings.Join(insert, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// stale lists the containers that have chains and are not known.
func (f *Filter) stale() ([]string, error) {
	ids := map[string]bool{}
	for _, table := range []string{"filter", "nat"} {
		out, err := exec.Command(f.iptables, "-w", "-t", table, "-S").Output()
		if err != nil {
			return nil, fmt.Errorf("iptables -t %s -S: %w", table, err)
		}
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			name, ok := strings.CutPrefix(lines.Text(), "-N ")
			for _, prefix := range []string{outPrefix, inPrefix} {
				if id, is := strings.CutPrefix(name, prefix); ok && is && f.all[id].ID == "" {
					ids[id] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// Set adds a container or renews its rules.
func (f *Filter) Set(e Endpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, had := f.all[e.ID]
	f.all[e.ID] = e
	err := f.apply([]Endpoint{e}, nil)
	if err != nil {
		if delete(f.all, e.ID); had {
			f.all[e.ID] = before
		}
	}
	return err
}

// Remove takes a container's rules away; it need not have any.
func (f *Filter) Remove(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.all[id]; !known {
		return nil
	}
	delete(f.all, id)
	return f.apply(nil, []string{id})
}

func (f *Filter) apply(changed []Endpoint, removed []string) error {
	var all []Endpoint
	for _, id := range slices.Sorted(maps.Keys(f.all)) {
		all = append(all, f.all[id])
	}
	cmd := exec.Command(f.iptables+"-restore", "--noflush", "--wait=30")
	cmd.Stdin = strings.NewReader(restore(f.policy, all, changed, removed))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables-restore: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
