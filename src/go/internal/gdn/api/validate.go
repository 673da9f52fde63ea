package api

import (
	"fmt"
	"net"
	"path"
	"strings"
	"unicode"
)

// Longest names accepted, in bytes.
const (
	MaxHandle        = 255
	MaxProcessID     = 255
	MaxPropertyKey   = 1024
	MaxPropertyValue = 1 << 20
)

// CheckHandle says whether a client may give a container this handle.
func CheckHandle(handle string) error { return checkName("handle", handle, MaxHandle) }

// CheckProcessID says whether a client may give a process this id.
func CheckProcessID(id string) error { return checkName("process id", id, MaxProcessID) }

func checkName(what, name string, most int) error {
	if len(name) > most {
		return fmt.Errorf("%s is %d bytes long, at most %d are allowed", what, len(name), most)
	}
	if name == "." || name == ".." {
		return fmt.Errorf("%s must not be %q", what, name)
	}
	for _, r := range name {
		if r == '/' || r == 0 || r == unicode.ReplacementChar || unicode.IsControl(r) {
			return fmt.Errorf("%s %q must not contain %q", what, name, r)
		}
	}
	return nil
}

// Check finds what is wrong with a container spec without looking at the machine.
func (s *ContainerSpec) Check() error {
	if err := CheckHandle(s.Handle); err != nil {
		return err
	}
	if s.GraceTime < 0 {
		return fmt.Errorf("grace_time %d must not be negative", s.GraceTime)
	}
	if s.Image.URI != "" && s.RootFSPath != "" && s.Image.URI != s.RootFSPath {
		return fmt.Errorf("rootfs %q and image.uri %q are both given: rootfs is the older name of image.uri, give one", s.RootFSPath, s.Image.URI)
	}
	if (s.Image.Username == "") != (s.Image.Password == "") {
		return fmt.Errorf("image.username and image.password must be given together")
	}
	for i, m := range s.BindMounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("bind_mounts[%d]: %w", i, err)
		}
	}
	for key, value := range s.Properties {
		if err := CheckProperty(key, value); err != nil {
			return err
		}
	}
	if err := CheckEnv(s.Env); err != nil {
		return err
	}
	if err := s.Limits.Disk.Check(); err != nil {
		return err
	}
	for i, n := range s.NetIn {
		if err := n.Check(); err != nil {
			return fmt.Errorf("netin[%d]: %w", i, err)
		}
	}
	for i, r := range s.NetOut {
		if err := r.Check(); err != nil {
			return fmt.Errorf("netout_rules[%d]: %w", i, err)
		}
	}
	return nil
}

// RootFS returns the URI of the root file system, under whichever name it was given.
func (s *ContainerSpec) RootFS() string {
	if s.Image.URI != "" {
		return s.Image.URI
	}
	return s.RootFSPath
}

// CheckProperty says whether a property is acceptable.
func CheckProperty(key, value string) error {
	switch {
	case key == "":
		return fmt.Errorf("the key of a property must not be empty")
	case len(key) > MaxPropertyKey:
		return fmt.Errorf("the key of a property is %d bytes long, at most %d are allowed", len(key), MaxPropertyKey)
	case len(value) > MaxPropertyValue:
		return fmt.Errorf("property %q is %d bytes long, at most %d are allowed", key, len(value), MaxPropertyValue)
	}
	return nil
}

// CheckEnv says whether every entry is NAME=VALUE.
func CheckEnv(env []string) error {
	for _, e := range env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" || strings.ContainsRune(e, 0) {
			return fmt.Errorf("env entry %q is not NAME=VALUE", e)
		}
	}
	return nil
}

func (m BindMount) check() error {
	switch {
	case !path.IsAbs(m.SrcPath):
		return fmt.Errorf("src_path %q is not absolute", m.SrcPath)
	case !path.IsAbs(m.DstPath) || path.Clean(m.DstPath) == "/":
		return fmt.Errorf("dst_path %q is not an absolute path below /", m.DstPath)
	case m.Mode > BindRW:
		return fmt.Errorf("mode %d is neither 0 (read-only) nor 1 (read-write)", m.Mode)
	case m.Origin > BindOriginContainer:
		return fmt.Errorf("origin %d is neither 0 (host) nor 1 (container)", m.Origin)
	case strings.ContainsRune(m.SrcPath+m.DstPath, 0):
		return fmt.Errorf("paths must not contain NUL")
	}
	return nil
}

// Check says whether the disk limits can be kept. A soft limit has no meaning of its own here
// and is accepted beside a hard one only.
func (l DiskLimits) Check() error {
	switch {
	case l.Scope > DiskScopeExclusive:
		return fmt.Errorf("disk_limits.scope %d is neither 0 (total) nor 1 (exclusive)", l.Scope)
	case l.ByteSoft != 0 && l.ByteHard == 0:
		return fmt.Errorf("disk_limits.byte_soft is not supported without byte_hard")
	case l.InodeSoft != 0 && l.InodeHard == 0:
		return fmt.Errorf("disk_limits.inode_soft is not supported without inode_hard")
	case l.InodeHard != 0 && l.ByteHard == 0:
		return fmt.Errorf("disk_limits.inode_hard is not supported without byte_hard")
	}
	return nil
}

// Check says whether the ports are ports.
func (n NetIn) Check() error {
	if n.HostPort > 65535 || n.ContainerPort > 65535 {
		return fmt.Errorf("port mapping %d to %d: a port is at most 65535", n.HostPort, n.ContainerPort)
	}
	return nil
}

// Check says whether a rule can be carried out.
func (r NetOutRule) Check() error {
	if r.Protocol > ProtocolICMPv6 {
		return fmt.Errorf("protocol %d is none of 0 (all), 1 (TCP), 2 (UDP), 3 (ICMP), 4 (ICMPv6)", r.Protocol)
	}
	if len(r.Ports) > 0 && r.Protocol == ProtocolAll {
		return fmt.Errorf("ports need a protocol of TCP or UDP")
	}
	for _, n := range r.Networks {
		start, end := n.Bounds()
		if n.Start == nil && n.End == nil {
			return fmt.Errorf("a network needs a start or an end")
		}
		if start == nil || end == nil || len(start) != len(end) {
			return fmt.Errorf("network %v-%v does not have two addresses of the same kind", n.Start, n.End)
		}
		if compare(start, end) > 0 {
			return fmt.Errorf("network %v-%v starts after its end", n.Start, n.End)
		}
	}
	for _, p := range r.Ports {
		if end := p.Last(); p.Start > end {
			return fmt.Errorf("port range %d-%d starts after its end", p.Start, end)
		}
	}
	return nil
}

// Bounds returns both ends, IPv4 addresses with four bytes, others with sixteen; nil when they are
// none.
func (n IPRange) Bounds() (start, end net.IP) {
	start, end = n.Start, n.End
	if start == nil {
		start = end
	}
	if end == nil {
		end = start
	}
	return shortest(start), shortest(end)
}

func shortest(ip net.IP) net.IP {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip.To16()
}

// Last returns the end of the range, its start when none was given.
func (p PortRange) Last() uint16 {
	if p.End == 0 {
		return p.Start
	}
	return p.End
}

func compare(a, b net.IP) int { return strings.Compare(string(a), string(b)) }

// checkOwn is about what a process may have of its own.
func (s *ProcessSpec) checkOwn() error {
	if (s.Image.Username == "") != (s.Image.Password == "") {
		return fmt.Errorf("image.username and image.password must be given together")
	}
	if len(s.BindMounts) > 0 && s.Image.URI == "" {
		return fmt.Errorf("bind_mounts: mounts of a process need a root file system of its own (hint: image.uri, or bind_mounts of the container)")
	}
	for i, m := range s.BindMounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("bind_mounts[%d]: %w", i, err)
		}
	}
	return nil
}

// Check finds what is wrong with a process spec without looking at the container.
func (s *ProcessSpec) Check() error {
	if s.Path == "" {
		return fmt.Errorf("path is missing: name the program to run")
	}
	if err := s.checkOwn(); err != nil {
		return err
	}
	for _, a := range append([]string{s.Path, s.Dir}, s.Args...) {
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("%q contains NUL", a)
		}
	}
	if s.Dir != "" && !path.IsAbs(s.Dir) {
		return fmt.Errorf("dir %q is not absolute", s.Dir)
	}
	if err := CheckProcessID(s.ID); err != nil {
		return err
	}
	return CheckEnv(s.Env)
}
