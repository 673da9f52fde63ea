package api

import "time"

// Metrics is the answer to GET …/metrics. Its JSON keys are the field names, but for
// MemoryStat, which has those of the kernel's memory.stat of cgroup v1, and some of v2.
type Metrics struct {
	MemoryStat     MemoryStat
	CPUStat        CPUStat
	DiskStat       DiskStat
	NetworkStat    *NetworkStat
	PidStat        PidStat
	Age            time.Duration // nanoseconds
	CPUEntitlement uint64
}

// MemoryStat is in bytes, but for the counters of pages and faults.
type MemoryStat struct {
	ActiveAnon              uint64 `json:"active_anon"`
	ActiveFile              uint64 `json:"active_file"`
	Cache                   uint64 `json:"cache"`
	HierarchicalMemoryLimit uint64 `json:"hierarchical_memory_limit"`
	InactiveAnon            uint64 `json:"inactive_anon"`
	InactiveFile            uint64 `json:"inactive_file"`
	MappedFile              uint64 `json:"mapped_file"`
	Pgfault                 uint64 `json:"pgfault"`
	Pgmajfault              uint64 `json:"pgmajfault"`
	Pgpgin                  uint64 `json:"pgpgin"`
	Pgpgout                 uint64 `json:"pgpgout"`
	Rss                     uint64 `json:"rss"`
	TotalActiveAnon         uint64 `json:"total_active_anon"`
	TotalActiveFile         uint64 `json:"total_active_file"`
	TotalCache              uint64 `json:"total_cache"`
	TotalInactiveAnon       uint64 `json:"total_inactive_anon"`
	TotalInactiveFile       uint64 `json:"total_inactive_file"`
	TotalMappedFile         uint64 `json:"total_mapped_file"`
	TotalPgfault            uint64 `json:"total_pgfault"`
	TotalPgmajfault         uint64 `json:"total_pgmajfault"`
	TotalPgpgin             uint64 `json:"total_pgpgin"`
	TotalPgpgout            uint64 `json:"total_pgpgout"`
	TotalRss                uint64 `json:"total_rss"`
	TotalUnevictable        uint64 `json:"total_unevictable"`
	Unevictable             uint64 `json:"unevictable"`
	Swap                    uint64 `json:"swap"`
	HierarchicalMemswLimit  uint64 `json:"hierarchical_memsw_limit"`
	TotalSwap               uint64 `json:"total_swap"`
	Anon                    uint64 `json:"anon"`
	File                    uint64 `json:"file"`
	SwapCached              uint64 `json:"swapcached"`
	// TotalUsageTowardLimit is TotalRss + (TotalCache - TotalInactiveFile).
	TotalUsageTowardLimit uint64
}

// CPUStat is in nanoseconds.
type CPUStat struct {
	Usage  uint64
	User   uint64
	System uint64
}

// DiskStat counts the image and the container's own files, and the latter alone.
type DiskStat struct {
	TotalBytesUsed      uint64
	TotalInodesUsed     uint64
	ExclusiveBytesUsed  uint64
	ExclusiveInodesUsed uint64
}

// NetworkStat counts bytes as the container sees them.
type NetworkStat struct {
	RxBytes uint64
	TxBytes uint64
}

// PidStat counts processes and threads; Max is 0 when unlimited.
type PidStat struct {
	Current uint64
	Max     uint64
}
