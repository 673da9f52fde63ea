package shim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// console makes the socket over which runc hands the terminal; finish takes it.
func (k *keeper) console(o *bundle.ExecOptions) (finish func(started bool) error, err error) {
	path := strings.TrimSuffix(k.c.Socket, ".sock") + ".con"
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the terminal: %w", err)
	}
	o.ConsoleSocket = path
	return func(started bool) error {
		defer l.Close() // removes the socket
		if !started {
			return nil
		}
		_ = l.SetDeadline(time.Now().Add(5 * time.Second))
		f, err := receive(l)
		if err != nil {
			return fmt.Errorf("receive the terminal from runc: %w", err)
		}
		k.terminal = f
		k.outputs[kindStdout] = f
		k.in = newStdin(f, func() { _, _ = f.Write([]byte{4}) }) // end of transmission
		if s := k.c.Process.ConsoleSize; s != nil {
			resize(f, uint16(s.Width), uint16(s.Height))
		}
		return nil
	}, nil
}

// receive takes one file descriptor off the first connection.
func receive(l *net.UnixListener) (*os.File, error) {
	conn, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that reads go through the poller
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

func resize(f *os.File, columns, rows uint16) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
	})
}
