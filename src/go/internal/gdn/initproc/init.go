// Package initproc is the first process of every container, `gdn init`: it does nothing but
// hold the container's namespaces and reap what is left behind.
package initproc

import (
	"os"
	"os/signal"
	"syscall"
)

// Main never returns. Signals from inside the container do not end it.
func Main() {
	_ = os.WriteFile("/proc/self/comm", []byte("garden-init"), 0) // the name that Garden's clients look for
	for n := syscall.Signal(1); n < 65; n++ {
		if n != syscall.SIGCHLD {
			signal.Ignore(n)
		}
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		reap()
		<-children
	}
}

// reap collects every child that has ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
	}
}
