package thread

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNeverTheMainThread(t *testing.T) {
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			Run(func() {
				if unix.Gettid() == os.Getpid() {
					t.Error("f ran on the main thread")
				}
			})
		})
	}
	all.Wait()
}

func TestTheThreadEnds(t *testing.T) {
	var tid int
	Run(func() { tid = unix.Gettid() })
	for range 1000 {
		if unix.Tgkill(os.Getpid(), tid, 0) != nil {
			return
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	t.Errorf("thread %d is still there", tid)
}
