// Package server answers Garden's HTTP API (doc/garden-api.md, the routes of Garden's route
// table and the wire form of its process streams) over a Backend. It knows nothing of
// containers: parsing, limits on requests, errors in Garden's JSON form, the hijacked
// connections of processes and the grace time are its work.
package server

import (
	"context"
	"io"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// Backend keeps containers. Errors that are *api.Error go to the client as they are, any other
// as a nameless Garden error. All methods may be called at once from many goroutines.
type Backend interface {
	Ping() error
	Capacity() (api.Capacity, error)

	Create(ctx context.Context, spec api.ContainerSpec) (handle string, err error)
	Destroy(ctx context.Context, handle string) error
	Stop(ctx context.Context, handle string, kill bool) error
	// Handles lists the containers that have all these properties, sorted.
	Handles(properties map[string]string) ([]string, error)
	Info(handle string) (api.ContainerInfo, error)
	Metrics(handle string) (api.Metrics, error)

	StreamIn(ctx context.Context, handle, destination, user string, tar io.Reader) error
	// StreamOut returns a tar stream; reading it to its end without error means it is whole.
	StreamOut(ctx context.Context, handle, source, user string) (io.ReadCloser, error)

	Limits(handle string) (api.Limits, error)
	SetCPU(ctx context.Context, handle string, l api.CPULimits) error
	SetMemory(ctx context.Context, handle string, l api.MemoryLimits) error
	SetDisk(ctx context.Context, handle string, l api.DiskLimits) error

	NetIn(ctx context.Context, handle string, ports api.NetIn) (api.NetIn, error)
	NetOut(ctx context.Context, handle string, rules []api.NetOutRule) error

	Run(ctx context.Context, handle string, spec api.ProcessSpec) (Process, error)
	Attach(ctx context.Context, handle, id string) (Process, error)

	// GraceTime is how long a container lives unreferenced; 0 means for ever.
	GraceTime(handle string) (time.Duration, error)
	SetGraceTime(handle string, grace time.Duration) error

	Properties(handle string) (map[string]string, error)
	Property(handle, key string) (string, error)
	SetProperty(handle, key, value string) error
	RemoveProperty(handle, key string) error
}

// Event is something a process did: output on Source, or, with Exited, its end.
type Event struct {
	Source int // api.Stdout or api.Stderr
	Data   []byte
	Exited bool
	Status int
	Err    string // set when the exit status is not known
}

// Process is one connection to a process. Next is called from one goroutine, the others from
// any; Close ends a waiting Next.
type Process interface {
	ID() string
	Next() (Event, error)
	Stdin(data []byte) error
	CloseStdin() error
	Signal(signal int) error
	Resize(size api.WindowSize) error
	// Delivered says that the end of the process has been told to a client.
	Delivered()
	Close() error
}
