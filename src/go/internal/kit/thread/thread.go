// Package thread runs functions on operating system threads that end with them,
// so that a changed namespace (setns(2), unshare(2)) or a tracer's duty cannot
// leak into other goroutines.
package thread

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Run runs f on a thread of its own and returns when f does. It is never the
// process's main thread: that one cannot end, so it would keep a namespace for
// as long as the process lasts, and /proc/self would show it.
func Run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			Run(f) // on another thread: this goroutine holds the main one
			runtime.UnlockOSThread()
			return
		}
		f() // not unlocked: the runtime ends the thread with the goroutine
	}()
	<-done
}
