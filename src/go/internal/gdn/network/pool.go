// Package network connects containers: address and port pools, veth pairs, and packet filter
// rules in chains of its own. The rules of who gets which address are those of Garden's
// ContainerSpec.Network and the defaults those of Guardian's documented flags.
package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// Lease is a container's address in its subnet.
type Lease struct {
	Subnet  netip.Prefix `json:"subnet"`
	IP      netip.Addr   `json:"ip"`
	Gateway netip.Addr   `json:"gateway"` // of the host
	Static  bool         `json:"static"`  // the subnet was asked for and may be shared
}

// Pool gives out leases.
type Pool struct {
	mu   sync.Mutex
	pool netip.Prefix
	next uint32
	used map[netip.Prefix]map[netip.Addr]bool
}

// NewPool makes a pool of /30 subnets of prefix.
func NewPool(prefix netip.Prefix) (*Pool, error) {
	if !prefix.Addr().Is4() || prefix.Bits() > 30 {
		return nil, fmt.Errorf("network pool %s must be IPv4 and hold at least one /30", prefix)
	}
	return &Pool{pool: prefix.Masked(), used: map[netip.Prefix]map[netip.Addr]bool{}}, nil
}

// Size is how many subnets the pool has.
func (p *Pool) Size() uint64 { return 1 << (30 - p.pool.Bits()) }

// Acquire leases what was asked for: "" for a /30 of the pool, "a.b.c.d/n" for a subnet of the
// client's own, where a.b.c.d is the container's address unless it is the subnet's.
func (p *Pool) Acquire(network string) (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if network == "" {
		return p.dynamic()
	}
	return p.static(network)
}

func (p *Pool) dynamic() (Lease, error) {
	base := number(p.pool.Addr())
	for range p.Size() {
		subnet := netip.PrefixFrom(address(base+4*p.next), 30)
		p.next = (p.next + 1) % uint32(p.Size())
		if len(p.used[subnet]) > 0 {
			continue
		}
		l := Lease{Subnet: subnet, IP: subnet.Addr().Next(), Gateway: subnet.Addr().Next().Next()}
		p.mark(l)
		return l, nil
	}
	return Lease{}, fmt.Errorf("all %d subnets of the network pool %s are in use", p.Size(), p.pool)
}

func (p *Pool) static(network string) (Lease, error) {
	if !strings.Contains(network, "/") {
		network += "/30"
	}
	given, err := netip.ParsePrefix(network)
	if err != nil || !given.Addr().Is4() {
		return Lease{}, fmt.Errorf("network %q is not of the form a.b.c.d/n", network)
	}
	subnet := given.Masked()
	if subnet.Bits() > 30 || subnet.Bits() < 8 {
		return Lease{}, fmt.Errorf("network %q: the prefix length must be 8 to 30", network)
	}
	if subnet.Overlaps(p.pool) {
		return Lease{}, fmt.Errorf("network %q overlaps the network pool %s", network, p.pool)
	}
	for other := range p.used {
		if other != subnet && other.Overlaps(subnet) {
			return Lease{}, fmt.Errorf("network %q overlaps %s, which is in use", network, other)
		}
	}
	return p.inSubnet(given.Addr(), subnet)
}

// inSubnet picks the address. The subnet's own, the broadcast address, and the one below that,
// which is the gateway, are never a container's.
func (p *Pool) inSubnet(ip netip.Addr, subnet netip.Prefix) (Lease, error) {
	first, size := number(subnet.Addr()), uint32(1)<<(32-subnet.Bits())
	gateway, broadcast := address(first+size-2), address(first+size-1)
	l := Lease{Subnet: subnet, Gateway: gateway, Static: true}
	switch {
	case ip == gateway || ip == broadcast:
		return Lease{}, fmt.Errorf("address %s of network %s is reserved", ip, subnet)
	case ip != subnet.Addr():
		if p.used[subnet][ip] {
			return Lease{}, fmt.Errorf("address %s is in use", ip)
		}
		l.IP = ip
	default:
		for n := first + 1; n < first+size-2; n++ {
			if !p.used[subnet][address(n)] {
				l.IP = address(n)
				break
			}
		}
		if !l.IP.IsValid() {
			return Lease{}, fmt.Errorf("no address of network %s is free", subnet)
		}
	}
	p.mark(l)
	return l, nil
}

// Claim marks a lease that an existing container has.
func (p *Pool) Claim(l Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(l)
}

// Release gives a lease back.
func (p *Pool) Release(l Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used[l.Subnet], l.IP)
	if len(p.used[l.Subnet]) == 0 {
		delete(p.used, l.Subnet)
	}
}

func (p *Pool) mark(l Lease) {
	if p.used[l.Subnet] == nil {
		p.used[l.Subnet] = map[netip.Addr]bool{}
	}
	p.used[l.Subnet][l.IP] = true
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// Ports gives out ports of the host.
type Ports struct {
	mu          sync.Mutex
	start, size uint32
	next        uint32
	used        map[uint32]int
}

// NewPorts makes a pool of size ports from start on.
func NewPorts(start, size uint32) (*Ports, error) {
	if start == 0 || size == 0 || start+size > 65536 {
		return nil, fmt.Errorf("port pool of %d ports from %d does not fit into 1 to 65535", size, start)
	}
	return &Ports{start: start, size: size, used: map[uint32]int{}}, nil
}

// Acquire returns a free port.
func (p *Ports) Acquire() (uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.size {
		port := p.start + p.next
		p.next = (p.next + 1) % p.size
		if p.used[port] == 0 {
			p.used[port]++
			return port, nil
		}
	}
	return 0, fmt.Errorf("all %d ports of the port pool are in use", p.size)
}

// Take marks one port, which may lie outside the pool; it fails when it is in use.
func (p *Ports) Take(port uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used[port] > 0 {
		return fmt.Errorf("host port %d is mapped already", port)
	}
	p.used[port]++
	return nil
}

// Release gives a port back.
func (p *Ports) Release(port uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, port)
}
