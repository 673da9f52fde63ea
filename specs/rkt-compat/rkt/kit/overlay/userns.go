package overlay

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// tracedNamespace starts cmd stopped at its exec (ptrace(2)), opens its user
// namespace and kills it. The tracer is a thread, hence the lock; a locked
// thread that stays locked is thrown away by the runtime.
func tracedNamespace(cmd *exec.Cmd) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			c <- result{nil, fmt.Errorf("user namespace: %w", err)}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
		cmd.Process.Kill()
		cmd.Wait()
		c <- result{f, err}
	}()
	r := <-c
	return r.file, r.err
}
