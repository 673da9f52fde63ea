package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// fake is a backend in memory. What it does to containers is what the tests look at.
type fake struct {
	mu         sync.Mutex
	containers map[string]*fakeContainer
	pingErr    error
}

type fakeContainer struct {
	spec      api.ContainerSpec
	files     []byte
	grace     time.Duration
	killed    *bool
	rules     []api.NetOutRule
	processes map[string]*fakeProcess
}

func newFake() *fake { return &fake{containers: map[string]*fakeContainer{}} }

func (f *fake) get(handle string) (*fakeContainer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[handle]; c != nil {
		return c, nil
	}
	return nil, api.ContainerNotFound(handle)
}

func (f *fake) Ping() error { return f.pingErr }
func (f *fake) Capacity() (api.Capacity, error) {
	return api.Capacity{MemoryInBytes: 1, DiskInBytes: 2, MaxContainers: 3}, nil
}

func (f *fake) Create(_ context.Context, spec api.ContainerSpec) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if spec.Handle == "" {
		spec.Handle = "generated"
	}
	if f.containers[spec.Handle] != nil {
		return "", errors.New("handle " + spec.Handle + " is already in use")
	}
	f.containers[spec.Handle] = &fakeContainer{spec: spec, grace: spec.GraceTime, processes: map[string]*fakeProcess{}}
	return spec.Handle, nil
}

func (f *fake) Destroy(_ context.Context, handle string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.containers[handle] == nil {
		return api.ContainerNotFound(handle)
	}
	delete(f.containers, handle)
	return nil
}

func (f *fake) Stop(_ context.Context, handle string, kill bool) error {
	c, err := f.get(handle)
	if err == nil {
		c.killed = &kill
	}
	return err
}

func (f *fake) Handles(p map[string]string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for h, c := range f.containers {
		ok := true
		for k, v := range p {
			ok = ok && c.spec.Properties[k] == v
		}
		if ok {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (f *fake) Info(handle string) (api.ContainerInfo, error) {
	c, err := f.get(handle)
	if err != nil {
		return api.ContainerInfo{}, err
	}
	return api.ContainerInfo{State: "active", Events: []string{"oom"}, Properties: c.spec.Properties,
		MappedPorts: []api.PortMapping{{HostPort: 1234, ContainerPort: 5678}}}, nil
}

func (f *fake) Metrics(handle string) (api.Metrics, error) {
	_, err := f.get(handle)
	return api.Metrics{MemoryStat: api.MemoryStat{Rss: 7}, CPUStat: api.CPUStat{Usage: 8}, NetworkStat: &api.NetworkStat{RxBytes: 9}, Age: time.Second}, err
}

func (f *fake) StreamIn(_ context.Context, handle, destination, user string, r io.Reader) error {
	c, err := f.get(handle)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	c.files = append([]byte(destination+"|"+user+"|"), data...)
	return err
}

func (f *fake) StreamOut(_ context.Context, handle, source, _ string) (io.ReadCloser, error) {
	c, err := f.get(handle)
	if err != nil {
		return nil, err
	}
	if source == "/broken" {
		return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 100<<10)), failing{})), nil
	}
	if source == "/missing" {
		return io.NopCloser(failing{}), nil
	}
	return io.NopCloser(bytes.NewReader(c.files)), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("it broke") }

func (f *fake) Limits(handle string) (api.Limits, error) {
	c, err := f.get(handle)
	if err != nil {
		return api.Limits{}, err
	}
	return c.spec.Limits, nil
}

func (f *fake) SetCPU(_ context.Context, handle string, l api.CPULimits) error {
	c, err := f.get(handle)
	if err == nil {
		c.spec.Limits.CPU = l
	}
	return err
}

func (f *fake) SetMemory(_ context.Context, handle string, l api.MemoryLimits) error {
	c, err := f.get(handle)
	if err == nil {
		c.spec.Limits.Memory = l
	}
	return err
}

func (f *fake) SetDisk(_ context.Context, handle string, l api.DiskLimits) error {
	c, err := f.get(handle)
	if err == nil {
		c.spec.Limits.Disk = l
	}
	return err
}

func (f *fake) NetIn(_ context.Context, handle string, n api.NetIn) (api.NetIn, error) {
	_, err := f.get(handle)
	if n.HostPort == 0 {
		n.HostPort = 61001
	}
	return n, err
}

func (f *fake) NetOut(_ context.Context, handle string, rules []api.NetOutRule) error {
	c, err := f.get(handle)
	if err == nil {
		c.rules = append(c.rules, rules...)
	}
	return err
}

func (f *fake) Run(_ context.Context, handle string, spec api.ProcessSpec) (Process, error) {
	c, err := f.get(handle)
	if err != nil {
		return nil, err
	}
	if spec.Path == "/missing" {
		return nil, api.ExecutableNotFound("/missing", "no such program")
	}
	if spec.ID == "" {
		spec.ID = "p1"
	}
	p := &fakeProcess{id: spec.ID, spec: spec, events: make(chan Event, 100), closed: make(chan struct{})}
	f.mu.Lock()
	c.processes[spec.ID] = p
	f.mu.Unlock()
	return p, nil
}

func (f *fake) Attach(_ context.Context, handle, id string) (Process, error) {
	c, err := f.get(handle)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := c.processes[id]; p != nil {
		return p, nil
	}
	return nil, api.ProcessNotFound(id)
}

func (f *fake) process(handle, id string) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.containers[handle].processes[id]
}

func (f *fake) GraceTime(handle string) (time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[handle]; c != nil {
		return c.grace, nil
	}
	return 0, api.ContainerNotFound(handle)
}

func (f *fake) SetGraceTime(handle string, grace time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[handle]; c != nil {
		c.grace = grace
		return nil
	}
	return api.ContainerNotFound(handle)
}

func (f *fake) Properties(handle string) (map[string]string, error) {
	c, err := f.get(handle)
	if err != nil {
		return nil, err
	}
	return c.spec.Properties, nil
}

func (f *fake) Property(handle, key string) (string, error) {
	c, err := f.get(handle)
	if err != nil {
		return "", err
	}
	v, ok := c.spec.Properties[key]
	if !ok {
		return "", errors.New("property does not exist: " + key)
	}
	return v, nil
}

func (f *fake) SetProperty(handle, key, value string) error {
	c, err := f.get(handle)
	if err != nil {
		return err
	}
	next := maps.Clone(c.spec.Properties)
	if next == nil {
		next = map[string]string{}
	}
	next[key] = value
	c.spec.Properties = next
	return nil
}

func (f *fake) RemoveProperty(handle, key string) error {
	c, err := f.get(handle)
	if err == nil {
		delete(c.spec.Properties, key)
	}
	return err
}

// fakeProcess echoes its input to stdout and ends when the input does or when it is signalled.
type fakeProcess struct {
	id        string
	spec      api.ProcessSpec
	events    chan Event
	closed    chan struct{}
	once      sync.Once
	mu        sync.Mutex
	size      api.WindowSize
	delivered bool
}

func (p *fakeProcess) ID() string { return p.id }

func (p *fakeProcess) Next() (Event, error) {
	select {
	case e := <-p.events:
		return e, nil
	case <-p.closed:
		return Event{}, errors.New("closed")
	}
}

func (p *fakeProcess) Stdin(data []byte) error {
	p.events <- Event{Source: api.Stdout, Data: data}
	return nil
}

func (p *fakeProcess) CloseStdin() error {
	p.events <- Event{Exited: true, Status: 3}
	return nil
}

func (p *fakeProcess) Signal(signal int) error {
	p.events <- Event{Source: api.Stderr, Data: []byte("signalled")}
	p.events <- Event{Exited: true, Status: map[int]int{api.SignalTerminate: 143, api.SignalKill: 137}[signal]}
	return nil
}

func (p *fakeProcess) Resize(size api.WindowSize) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = size
	return nil
}

func (p *fakeProcess) Delivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivered = true
}

func (p *fakeProcess) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// serving starts a server on a unix socket and returns a client for it.
func serving(t testing.TB, f *fake) (*http.Client, string, *Server) {
	t.Helper()
	s := New(f, slog.New(slog.DiscardHandler))
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 20 * time.Second}, path, s
}
