package stage1

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The command that starts a pod and the pod's supervisor talk over a unix
// socket. The connection is a lifeline: when the command goes, in whatever way,
// the supervisor sees the end of the stream and stops the pod.
//
// The command first sends one byte with four descriptors: the pod's lock, then
// stdin, stdout and stderr. After that it sends single bytes, and the supervisor
// answers once, at the end, with a Result.
const (
	msgStop  = 't' // stop the pod: SIGTERM, then SIGKILL
	msgKill  = 'k' // SIGKILL at once
	msgWinch = 'w' // the terminal changed its size
)

// Result is the end of a pod.
type Result struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// RuntimeDir is the pod's folder for sockets and runc's state.
func RuntimeDir(uuid string) string { return filepath.Join(RunDir, "pods", uuid) }

func controlSocket(uuid string) string { return filepath.Join(RuntimeDir(uuid), "control") }

// listenControl makes the socket; its folder keeps everybody but root out.
func listenControl(uuid string) (*net.UnixListener, error) {
	if err := os.MkdirAll(RuntimeDir(uuid), 0o700); err != nil {
		return nil, fmt.Errorf("pod %s: %w", uuid, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: controlSocket(uuid), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", uuid, err)
	}
	return l, nil
}

// handOver sends the descriptors.
func handOver(c *net.UnixConn, files [4]*os.File) error {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	_, _, err := c.WriteMsgUnix([]byte{0}, syscall.UnixRights(fds...), nil)
	return err
}

// takeOver receives them, closed on exec.
func takeOver(c *net.UnixConn) (files [4]*os.File, err error) {
	oob := make([]byte, unix.CmsgSpace(4*4))
	buf := make([]byte, 1)
	_, n, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return files, fmt.Errorf("descriptors of the pod: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return files, errors.New("descriptors of the pod: none came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != len(files) {
		return files, fmt.Errorf("descriptors of the pod: %d came, not %d", len(fds), len(files))
	}
	for i, name := range []string{"lock", "stdin", "stdout", "stderr"} {
		unix.CloseOnExec(fds[i])
		files[i] = os.NewFile(uintptr(fds[i]), name)
	}
	return files, nil
}

func sendResult(c *net.UnixConn, r Result) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.Write(append(data, '\n'))
	return err
}
