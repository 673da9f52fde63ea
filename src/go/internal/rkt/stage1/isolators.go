package stage1

import (
	"fmt"
	"slices"

	"github.com/appc/spec/schema/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// cpuPeriod is the kernel's default period of a CPU quota, in microseconds.
const cpuPeriod = 100000

// isolate puts the app's isolators (ace.md) into the container. Insecure
// options that rkt documents take some of them away again.
func isolate(c *bundle.Container, list types.Isolators, o Options) error {
	c.Resources = &specs.LinuxResources{}
	caps := bundle.DefaultCapabilities()
	var filter *types.Isolator
	for _, i := range list {
		switch v := i.Value().(type) {
		case *types.ResourceCPU:
			cpu(c.Resources, v.Limit(), v.Request())
		case *types.ResourceMemory:
			memory(c.Resources, v.Limit(), v.Request())
		case *types.LinuxCPUShares:
			shares := uint64(*v)
			cpuOf(c.Resources).Shares = &shares
		case *types.LinuxOOMScoreAdj:
			adj := int(*v)
			c.OOMScoreAdj = &adj
		case *types.LinuxNoNewPrivileges:
			c.NoNewPrivileges = bool(*v)
		case *types.LinuxCapabilitiesRetainSet:
			caps = capabilities(v.Set())
		case *types.LinuxCapabilitiesRevokeSet:
			remove := capabilities(v.Set())
			caps = slices.DeleteFunc(caps, func(c string) bool { return slices.Contains(remove, c) })
		case *types.LinuxSeccompRetainSet, *types.LinuxSeccompRemoveSet:
			filter = &i
		}
	}
	if o.AllCapabilities {
		caps = bundle.AllCapabilities()
	}
	c.Capabilities = caps
	if o.NoSeccomp {
		return nil
	}
	profile, err := seccompProfile(filter, caps)
	c.Seccomp = profile
	return err
}

func capabilities(set []types.LinuxCapability) []string {
	list := []string{}
	for _, c := range set {
		if !slices.Contains(list, string(c)) {
			list = append(list, string(c))
		}
	}
	return list
}

// quantity is the part of resource.Quantity that is needed here.
type quantity interface {
	Value() int64
	MilliValue() int64
}

func cpuOf(r *specs.LinuxResources) *specs.LinuxCPU {
	if r.CPU == nil {
		r.CPU = &specs.LinuxCPU{}
	}
	return r.CPU
}

// cpu: a limit of 500m is half of every period, a request is a share of 1024 per core.
func cpu[Q interface {
	comparable
	quantity
}](r *specs.LinuxResources, limit, request Q) {
	var none Q
	if limit != none && limit.MilliValue() > 0 {
		period, quota := uint64(cpuPeriod), max(limit.MilliValue()*cpuPeriod/1000, 1000)
		cpuOf(r).Period, cpuOf(r).Quota = &period, &quota
	}
	if request != none && request.MilliValue() > 0 {
		shares := uint64(max(request.MilliValue()*1024/1000, 2))
		cpuOf(r).Shares = &shares
	}
}

// memory: beyond the limit the kernel kills, there is no swap to flee to;
// beneath the request nothing is reclaimed.
func memory[Q interface {
	comparable
	quantity
}](r *specs.LinuxResources, limit, request Q) {
	var none Q
	m := &specs.LinuxMemory{}
	if limit != none && limit.Value() > 0 {
		n := limit.Value()
		m.Limit, m.Swap = &n, &n
	}
	if request != none && request.Value() > 0 {
		n := request.Value()
		m.Reservation = &n
	}
	if m.Limit != nil || m.Reservation != nil {
		r.Memory = m
	}
}

// sysctls returns the pod's os/unix/sysctl settings; only those of the network
// namespace belong to a pod alone.
func sysctls(list []types.Isolator, ownNetwork bool) (map[string]string, error) {
	for _, i := range list {
		v, ok := i.Value().(*types.UnixSysctl)
		if !ok {
			continue
		}
		for key := range *v {
			if len(key) < 5 || key[:4] != "net." || !ownNetwork {
				return nil, fmt.Errorf("sysctl %s is not one of a network namespace of the pod's own", key)
			}
		}
		return *v, nil
	}
	return nil, nil
}
