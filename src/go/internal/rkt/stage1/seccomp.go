package stage1

import (
	"fmt"
	"strings"

	"github.com/appc/spec/schema/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// lifecycle are the system calls without which no app can be started or ended:
// ace.md lets an executor add them to every retain set.
var lifecycle = []string{
	"access", "arch_prctl", "brk", "capget", "capset", "chdir", "clone", "clone3", "close", "close_range", "dup", "dup2", "dup3",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "execve", "execveat", "exit", "exit_group",
	"faccessat", "faccessat2", "fchdir", "fchown", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid",
	"geteuid", "getgid", "getpid", "getppid", "getrandom", "gettid", "getuid", "getpgrp", "keyctl", "lseek", "lstat", "madvise",
	"mmap", "mprotect", "munmap", "nanosleep", "newfstatat", "open", "openat", "openat2", "pipe2", "prctl", "pread64",
	"prlimit64", "read", "readlink", "readlinkat", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address", "setgid", "setgroups", "setresgid", "setresuid",
	"setsid", "setuid", "sigaltstack", "stat", "statfs", "statx", "tgkill", "umask", "uname", "unlinkat", "wait4", "waitid", "write", "writev",
}

// defaultSets are the names that rkt's seccomp guide gives to its own default
// filter and to Docker's; here both are Docker's.
var defaultSets = map[string]bool{"@rkt/default-whitelist": true, "@docker/default-whitelist": true}

var blacklists = map[string]bool{"@rkt/default-blacklist": true, "@docker/default-blacklist": true}

// seccompProfile makes the filter for an app's isolator; nil is the default filter.
func seccompProfile(i *types.Isolator, caps []string) (*specs.LinuxSeccomp, error) {
	base, err := bundle.DefaultSeccomp(caps)
	if err != nil || i == nil {
		return base, err
	}
	var set []types.LinuxSeccompEntry
	var errno types.LinuxSeccompErrno
	retain := false
	switch v := i.Value().(type) {
	case *types.LinuxSeccompRetainSet:
		set, errno, retain = v.Set(), v.Errno(), true
	case *types.LinuxSeccompRemoveSet:
		set, errno = v.Set(), v.Errno()
	}
	action, code, err := blocked(string(errno))
	if err != nil {
		return nil, err
	}
	if retain {
		return retainSet(base, set, action, code)
	}
	return removeSet(base, set, action, code)
}

// blocked says what happens to a blocked call: the errno, or SIGSYS.
func blocked(errno string) (specs.LinuxSeccompAction, *uint, error) {
	if errno == "" {
		return specs.ActKillProcess, nil, nil
	}
	n, ok := errnos()[errno]
	if !ok {
		return "", nil, fmt.Errorf("seccomp: unknown errno %q", errno)
	}
	return specs.ActErrno, &n, nil
}

// errnos maps the names of errno(3) to their numbers, aliases included.
func errnos() map[string]uint {
	m := map[string]uint{"ENOTSUP": uint(unix.ENOTSUP), "EWOULDBLOCK": uint(unix.EWOULDBLOCK), "EDEADLOCK": uint(unix.EDEADLOCK)}
	for n := uint(1); n < 134; n++ {
		if name := unix.ErrnoName(unix.Errno(n)); name != "" {
			m[name] = n
		}
	}
	return m
}

func retainSet(base *specs.LinuxSeccomp, set []types.LinuxSeccompEntry, action specs.LinuxSeccompAction, code *uint) (*specs.LinuxSeccomp, error) {
	p := &specs.LinuxSeccomp{DefaultAction: action, DefaultErrnoRet: code, Architectures: base.Architectures}
	names := append([]string{}, lifecycle...)
	for _, e := range set {
		switch name := string(e); {
		case name == "@appc.io/all":
			return nil, nil
		case name == "@appc.io/empty":
		case defaultSets[name]:
			p.Syscalls = append(p.Syscalls, allowed(base)...)
		case strings.HasPrefix(name, "@"):
			return nil, unknownSet(name)
		default:
			names = append(names, name)
		}
	}
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: names, Action: specs.ActAllow})
	return p, nil
}

func removeSet(base *specs.LinuxSeccomp, set []types.LinuxSeccompEntry, action specs.LinuxSeccompAction, code *uint) (*specs.LinuxSeccomp, error) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: base.Architectures}
	var names []string
	complement := false
	for _, e := range set {
		switch name := string(e); {
		case name == "@appc.io/empty":
			return nil, nil
		case name == "@appc.io/all":
			return nil, fmt.Errorf("seccomp: %s in a remove set leaves no system call", name)
		case blacklists[name]:
			complement = true
		case strings.HasPrefix(name, "@"):
			return nil, unknownSet(name)
		default:
			names = append(names, name)
		}
	}
	if complement { // all but what the default filter allows, and the names besides
		p.DefaultAction, p.DefaultErrnoRet = action, code
		p.Syscalls = without(allowed(base), names)
		return p, nil
	}
	p.Syscalls = []specs.LinuxSyscall{{Names: names, Action: action, ErrnoRet: code}}
	return p, nil
}

func unknownSet(name string) error {
	return fmt.Errorf("seccomp: unknown set %q, the known ones are @appc.io/all, @appc.io/empty and the default-whitelist and default-blacklist of @rkt and @docker", name)
}

func allowed(p *specs.LinuxSeccomp) []specs.LinuxSyscall {
	var list []specs.LinuxSyscall
	for _, s := range p.Syscalls {
		if s.Action == specs.ActAllow {
			list = append(list, s)
		}
	}
	return list
}

func without(list []specs.LinuxSyscall, names []string) []specs.LinuxSyscall {
	removed := map[string]bool{}
	for _, n := range names {
		removed[n] = true
	}
	var out []specs.LinuxSyscall
	for _, s := range list {
		kept := s
		kept.Names = nil
		for _, n := range s.Names {
			if !removed[n] {
				kept.Names = append(kept.Names, n)
			}
		}
		if len(kept.Names) > 0 {
			out = append(out, kept)
		}
	}
	return out
}
