package cgroup

import (
	"testing"

	"photonbuild.invalid/compat/internal/gdn/api"
)

func TestMemoryStat(t *testing.T) {
	s := parseKeyed("anon 100\nfile 50\ninactive_file 20\npgfault 3\nnonsense\n")
	m := memoryStat(s, 0, 0, 4)
	if m.Rss != 100 || m.TotalCache != 50 || m.TotalUsageTowardLimit != 130 || m.Pgfault != 3 || m.Swap != 4 {
		t.Errorf("%+v", m)
	}
	if m.HierarchicalMemoryLimit != 1<<63-4096 || m.HierarchicalMemswLimit != 1<<63-4096 {
		t.Errorf("unlimited: %d %d", m.HierarchicalMemoryLimit, m.HierarchicalMemswLimit)
	}
	if m := memoryStat(s, 1<<20, 0, 0); m.HierarchicalMemoryLimit != 1<<20 || m.HierarchicalMemswLimit != 1<<20 {
		t.Errorf("limited: %d %d", m.HierarchicalMemoryLimit, m.HierarchicalMemswLimit)
	}
}

func TestResources(t *testing.T) {
	r, err := Resources(api.Limits{Memory: api.MemoryLimits{LimitInBytes: 1 << 20}, CPU: api.CPULimits{Weight: 100, LimitInShares: 7}, Pid: api.PidLimits{Max: 5}})
	if err != nil {
		t.Fatal(err)
	}
	if *r.Memory.Limit != 1<<20 || *r.Memory.Swap != 1<<20 || *r.CPU.Shares != 100 || *r.Pids.Limit != 5+InitTasks {
		t.Errorf("%+v %+v %+v", r.Memory, r.CPU, r.Pids)
	}
	if r, err := Resources(api.Limits{}); err != nil || r.Memory != nil || r.CPU != nil || *r.Pids.Limit != -1 {
		t.Errorf("no limits: %+v %v", r, err)
	}
	for _, l := range []api.Limits{{Memory: api.MemoryLimits{LimitInBytes: 1 << 63}}, {CPU: api.CPULimits{Weight: 1}}, {CPU: api.CPULimits{Weight: 1 << 20}}, {Pid: api.PidLimits{Max: 1 << 40}}} {
		if _, err := Resources(l); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}
