package api

// ProcessSpec is the body of POST …/processes.
type ProcessSpec struct {
	ID     string         `json:"id,omitempty"`
	Path   string         `json:"path,omitempty"`
	Args   []string       `json:"args,omitempty"`
	Env    []string       `json:"env,omitempty"`
	Dir    string         `json:"dir,omitempty"`  // default: the user's home directory
	User   string         `json:"user,omitempty"` // name, or uid:gid
	Limits ResourceLimits `json:"rlimits,omitzero"`
	TTY    *TTYSpec       `json:"tty,omitempty"`

	OverrideContainerLimits *ProcessLimits `json:"limits,omitempty"`      // of this process alone
	Image                   ImageRef       `json:"image,omitzero"`        // a root file system of its own
	BindMounts              []BindMount    `json:"bind_mounts,omitempty"` // in that root file system
}

// OwnLimits says whether the process has limits of its own. With a root file system of its own
// it has, though they be none, as soon as there is an OverrideContainerLimits.
func (s *ProcessSpec) OwnLimits() bool {
	own := s.OverrideContainerLimits
	return own != nil && (s.Image.URI != "" || *own != ProcessLimits{})
}

// Sidecar says whether the process has anything of its own that its container has another of.
func (s *ProcessSpec) Sidecar() bool { return s.OwnLimits() || s.Image.URI != "" }

// ProcessLimits are limits of one process alone, with what it starts, instead of the container's.
// What is zero is unlimited.
type ProcessLimits struct {
	CPU    CPULimits    `json:"cpu_limits,omitzero"`
	Memory MemoryLimits `json:"memory_limits,omitzero"`
}

// TTYSpec asks for a terminal, or sets its size.
type TTYSpec struct {
	WindowSize *WindowSize `json:"window_size,omitempty"`
}

// WindowSize is in characters.
type WindowSize struct {
	Columns uint16 `json:"columns,omitempty"`
	Rows    uint16 `json:"rows,omitempty"`
}

// ResourceLimits are those of setrlimit(2); nil leaves one as it is.
type ResourceLimits struct {
	As         *uint64 `json:"as,omitempty"`
	Core       *uint64 `json:"core,omitempty"`
	CPU        *uint64 `json:"cpu,omitempty"`
	Data       *uint64 `json:"data,omitempty"`
	Fsize      *uint64 `json:"fsize,omitempty"`
	Locks      *uint64 `json:"locks,omitempty"`
	Memlock    *uint64 `json:"memlock,omitempty"`
	Msgqueue   *uint64 `json:"msgqueue,omitempty"`
	Nice       *uint64 `json:"nice,omitempty"`
	Nofile     *uint64 `json:"nofile,omitempty"`
	Nproc      *uint64 `json:"nproc,omitempty"`
	Rss        *uint64 `json:"rss,omitempty"`
	Rtprio     *uint64 `json:"rtprio,omitempty"`
	Sigpending *uint64 `json:"sigpending,omitempty"`
	Stack      *uint64 `json:"stack,omitempty"`
}

// Named returns the limits set, by the names of setrlimit(2), in a fixed order.
func (r ResourceLimits) Named() []Rlimit {
	var out []Rlimit
	for _, l := range []struct {
		name  string
		value *uint64
	}{
		{"RLIMIT_AS", r.As}, {"RLIMIT_CORE", r.Core}, {"RLIMIT_CPU", r.CPU}, {"RLIMIT_DATA", r.Data},
		{"RLIMIT_FSIZE", r.Fsize}, {"RLIMIT_LOCKS", r.Locks}, {"RLIMIT_MEMLOCK", r.Memlock},
		{"RLIMIT_MSGQUEUE", r.Msgqueue}, {"RLIMIT_NICE", r.Nice}, {"RLIMIT_NOFILE", r.Nofile},
		{"RLIMIT_NPROC", r.Nproc}, {"RLIMIT_RSS", r.Rss}, {"RLIMIT_RTPRIO", r.Rtprio},
		{"RLIMIT_SIGPENDING", r.Sigpending}, {"RLIMIT_STACK", r.Stack},
	} {
		if l.value != nil {
			out = append(out, Rlimit{l.name, *l.value})
		}
	}
	return out
}

// Rlimit is one named limit.
type Rlimit struct {
	Name  string
	Value uint64
}

// Sources of a ProcessPayload.
const (
	Stdin  = 0
	Stdout = 1
	Stderr = 2
)

// Signals of a ProcessPayload.
const (
	SignalTerminate = 0
	SignalKill      = 1
)

// ProcessPayload is one message on the hijacked connection of a process, in either direction.
// Stdin with no data closes the process's standard input.
type ProcessPayload struct {
	ProcessID  string   `json:"process_id,omitempty"`
	StreamID   string   `json:"stream_id,omitempty"`
	Source     *int     `json:"source,omitempty"`
	Data       *string  `json:"data,omitempty"`
	ExitStatus *int     `json:"exit_status,omitempty"`
	Error      *string  `json:"error,omitempty"`
	TTY        *TTYSpec `json:"tty,omitempty"`
	Signal     *int     `json:"signal,omitempty"`
}
