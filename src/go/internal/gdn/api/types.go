// Package api holds the wire types of Cloud Foundry Garden's HTTP API: the JSON bodies of
// requests and answers, as the public API document (doc/garden-api.md) and the documentation
// of Garden's Go interface (ContainerSpec, ProcessSpec, ContainerInfo, Metrics, limits,
// NetOutRule) name them. It holds no behaviour beyond validation.
package api

import (
	"net"
	"time"
)

// Capacity is the answer to GET /capacity.
type Capacity struct {
	MemoryInBytes          uint64 `json:"memory_in_bytes,omitempty"`
	SchedulableDiskInBytes uint64 `json:"schedulable_disk_in_bytes,omitempty"`
	DiskInBytes            uint64 `json:"disk_in_bytes,omitempty"`
	MaxContainers          uint64 `json:"max_containers,omitempty"`
}

// ContainerSpec is the body of POST /containers; every field is optional.
type ContainerSpec struct {
	Handle     string            `json:"handle,omitempty"`
	GraceTime  time.Duration     `json:"grace_time,omitempty"` // nanoseconds
	RootFSPath string            `json:"rootfs,omitempty"`     // older name of image.uri
	Image      ImageRef          `json:"image,omitzero"`
	BindMounts []BindMount       `json:"bind_mounts,omitempty"`
	Network    string            `json:"network,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Privileged bool              `json:"privileged,omitempty"`
	Limits     Limits            `json:"limits,omitzero"`
	NetOut     []NetOutRule      `json:"netout_rules,omitempty"`
	NetIn      []NetIn           `json:"netin,omitempty"`
}

// ImageRef names a root file system and the credentials to fetch it with.
type ImageRef struct {
	URI      string `json:"uri,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// Limits are the limits of one container. Zero means unlimited.
type Limits struct {
	Bandwidth BandwidthLimits `json:"bandwidth_limits,omitzero"`
	CPU       CPULimits       `json:"cpu_limits,omitzero"`
	Disk      DiskLimits      `json:"disk_limits,omitzero"`
	Memory    MemoryLimits    `json:"memory_limits,omitzero"`
	Pid       PidLimits       `json:"pid_limits,omitzero"`
}

// BandwidthLimits are bytes per second.
type BandwidthLimits struct {
	RateInBytesPerSecond      uint64 `json:"rate,omitempty"`
	BurstRateInBytesPerSecond uint64 `json:"burst,omitempty"`
}

// CPULimits are relative shares; Weight is the newer name of LimitInShares and wins.
type CPULimits struct {
	Weight        uint64 `json:"weight,omitempty"`
	LimitInShares uint64 `json:"limit_in_shares,omitempty"`
}

// Shares returns the shares asked for, 0 for none.
func (l CPULimits) Shares() uint64 {
	if l.Weight != 0 {
		return l.Weight
	}
	return l.LimitInShares
}

// Disk limit scopes.
const (
	DiskScopeTotal     = 0 // the image and what the container writes
	DiskScopeExclusive = 1 // what the container writes
)

// DiskLimits are limits of the root file system.
type DiskLimits struct {
	InodeSoft uint64 `json:"inode_soft,omitempty"`
	InodeHard uint64 `json:"inode_hard,omitempty"`
	ByteSoft  uint64 `json:"byte_soft,omitempty"`
	ByteHard  uint64 `json:"byte_hard,omitempty"`
	Scope     uint8  `json:"scope,omitempty"`
}

// MemoryLimits is the limit of memory, page cache included.
type MemoryLimits struct {
	LimitInBytes uint64 `json:"limit_in_bytes,omitempty"`
}

// PidLimits is the limit of processes and threads.
type PidLimits struct {
	Max uint64 `json:"max,omitempty"`
}

// Bind mount modes and origins.
const (
	BindRO              = 0
	BindRW              = 1
	BindOriginHost      = 0
	BindOriginContainer = 1
)

// BindMount is one mount point.
type BindMount struct {
	SrcPath string `json:"src_path,omitempty"`
	DstPath string `json:"dst_path,omitempty"`
	Mode    uint8  `json:"mode,omitempty"`
	Origin  uint8  `json:"origin,omitempty"`
}

// NetIn maps a port of the host to a port of the container. It is the body and the answer of
// POST …/net/in too.
type NetIn struct {
	HostPort      uint32 `json:"host_port,omitempty"`
	ContainerPort uint32 `json:"container_port,omitempty"`
}

// Protocols of a NetOutRule.
const (
	ProtocolAll  = 0
	ProtocolTCP  = 1
	ProtocolUDP  = 2
	ProtocolICMP = 3

	ProtocolICMPv6 = 4
)

// NetOutRule allows outbound traffic.
type NetOutRule struct {
	Protocol uint8        `json:"protocol,omitempty"`
	Networks []IPRange    `json:"networks,omitempty"`
	Ports    []PortRange  `json:"ports,omitempty"`
	ICMPs    *ICMPControl `json:"icmps,omitempty"`
	Log      bool         `json:"log,omitempty"`
}

// IPRange is inclusive; an end left out is the other end.
type IPRange struct {
	Start net.IP `json:"start,omitempty"`
	End   net.IP `json:"end,omitempty"`
}

// PortRange is inclusive.
type PortRange struct {
	Start uint16 `json:"start,omitempty"`
	End   uint16 `json:"end,omitempty"`
}

// ICMPControl names an ICMP type and, unless nil, its code.
type ICMPControl struct {
	Type uint8  `json:"type,omitempty"`
	Code *uint8 `json:"code,omitempty"`
}

// PortMapping is one mapped port in ContainerInfo.
type PortMapping struct {
	HostPort      uint32
	ContainerPort uint32
}

// Container states of ContainerInfo.State.
const (
	StateActive  = "active"
	StateStopped = "stopped"
)

// ContainerInfo is the answer to GET …/info. Its JSON keys are the field names.
type ContainerInfo struct {
	State         string
	Events        []string
	HostIP        string
	ContainerIP   string
	ContainerIPv6 string // "": containers have none
	ExternalIP    string
	ContainerPath string
	ProcessIDs    []string
	Properties    map[string]string
	MappedPorts   []PortMapping
}

// ContainerInfoEntry is one value of GET /containers/bulk_info.
type ContainerInfoEntry struct {
	Info ContainerInfo
	Err  *Error
}

// ContainerMetricsEntry is one value of GET /containers/bulk_metrics.
type ContainerMetricsEntry struct {
	Metrics Metrics
	Err     *Error
}
