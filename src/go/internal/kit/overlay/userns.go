package overlay

import (
	"fmt"
	"os"
	"os/exec"

	"photonbuild.invalid/compat/internal/kit/thread"
)

// tracedNamespace starts cmd stopped at its exec (ptrace(2)), opens its user
// namespace and kills it. The tracer is a thread.
func tracedNamespace(cmd *exec.Cmd) (file *os.File, err error) {
	thread.Run(func() {
		if err = cmd.Start(); err != nil {
			err = fmt.Errorf("user namespace: %w", err)
			return
		}
		file, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
		cmd.Process.Kill()
		cmd.Wait()
	})
	return file, err
}
