// Package shim keeps one process of a container company: a shim owns the process's pipes or
// terminal, keeps what it wrote while nobody listened, and knows its exit status, so that the
// server may come and go. Server and shim talk over a unix socket in frames: one byte of kind,
// four bytes of length (big endian), the payload.
package shim

import (
	"encoding/binary"
	"fmt"
	"io"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/sidecar"
)

// Kinds of frames from the server.
const (
	kindStdin      = 'i'
	kindCloseStdin = 'c'
	kindSignal     = 's' // payload: the number, one byte
	kindResize     = 'w' // payload: columns and rows, two bytes each
	kindDelivered  = 'd' // the end of the process has been told to a client
)

// Kinds of frames from the shim.
const (
	kindHello  = 'h' // first frame: somebody is there
	kindStdout = 'o'
	kindStderr = 'e'
	kindExit   = 'x' // payload: JSON Exit
)

const maxFrame = 1 << 20

// Config is what the server tells a new shim on its standard input.
type Config struct {
	ProcessID string         `json:"process_id"`
	Container string         `json:"container"` // runc's id
	RuncRoot  string         `json:"runc_root"`
	Dir       string         `json:"dir"` // of this process: process.json, exit.json
	Socket    string         `json:"socket"`
	Process   *specs.Process `json:"process"`
	UID       int            `json:"uid"` // on the host, of the process
	GID       int            `json:"gid"`

	// Sidecar is set for a process that is a container of runc's own; its bundle holds Process.
	Sidecar *sidecar.Sidecar `json:"sidecar,omitempty"`
}

// Started is what a new shim answers on its standard output.
type Started struct {
	Error string `json:"error,omitempty"` // "" when the process runs
}

// Record is process.json: which process this is.
type Record struct {
	ProcessID string `json:"process_id"`
	Socket    string `json:"socket"`
	PID       int    `json:"pid"`
	Start     uint64 `json:"start"` // start time in clock ticks since boot, tells pids apart
	ShimPID   int    `json:"shim_pid"`
	ShimStart uint64 `json:"shim_start"`
	Sidecar   string `json:"sidecar,omitempty"` // its folder
}

// Exit is exit.json and the payload of the last frame.
type Exit struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// Names of the files in a process's directory.
const (
	RecordFile = "process.json"
	ExitFile   = "exit.json"
)

type frame struct {
	kind byte
	data []byte
}

func writeFrame(w io.Writer, f frame) error {
	buf := make([]byte, 5+len(f.data))
	buf[0] = f.kind
	binary.BigEndian.PutUint32(buf[1:], uint32(len(f.data)))
	copy(buf[5:], f.data)
	_, err := w.Write(buf)
	return err
}

func readFrame(r io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return frame{}, fmt.Errorf("frame of %d bytes, at most %d are allowed", n, maxFrame)
	}
	f := frame{kind: head[0], data: make([]byte, n)}
	_, err := io.ReadFull(r, f.data)
	return f, err
}
