package stage1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/appc/spec/schema"

	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/kit/netns"
	"photonbuild.invalid/compat/internal/rkt/network"
	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/podspec"
)

// supervisor is the main process of a pod's service.
type supervisor struct {
	pod      *pod.Pod
	manifest *schema.PodManifest
	options  Options
	stdio    [3]*os.File
	cgroup   string // of the service, below /sys/fs/cgroup
	runc     bundle.Runc
	box      *sandbox
	hostname string
	etc      etcFiles
	mdsURL   string

	stop     chan struct{} // closed: the pod is to stop
	stopOnce sync.Once
	kill     chan struct{} // closed: at once
	killOnce sync.Once

	mu    sync.Mutex
	procs map[string]running // by app
}

// Supervise is the main process of a pod's service: it takes over from the
// command that launched the pod, runs the pod and undoes everything that lives
// outside of the pod's directory.
func Supervise(dataDir, uuid string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: controlSocket(uuid), Net: "unix"})
	if err != nil {
		return fmt.Errorf("pod %s is not being started by rkt run: %w", uuid, err)
	}
	defer c.Close()
	files, err := takeOver(c)
	if err != nil {
		return err
	}
	s := &supervisor{stdio: [3]*os.File{files[1], files[2], files[3]}, stop: make(chan struct{}), kill: make(chan struct{}),
		procs: map[string]running{}}
	status, err := s.load(dataDir, uuid)
	if err == nil {
		go s.listen(c)
		go s.signals()
		status, err = s.run()
	}
	result := Result{Status: status}
	if err != nil {
		result.Error = err.Error()
		fmt.Fprintf(os.Stderr, "rkt: %v\n", err)
	}
	files[0].Close() // the pod has ended for everybody who looks at its lock
	if err := sendResult(c, result); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}

func (s *supervisor) load(dataDir, uuid string) (int, error) {
	p, err := pod.Open(dataDir).Get(uuid)
	if err != nil {
		return 0, err
	}
	if p.Phase != pod.Run {
		return 0, fmt.Errorf("pod %s is %s, not to be run", uuid, p.Phase)
	}
	s.pod = p
	if s.manifest, err = p.Manifest(); err != nil {
		return 0, err
	}
	return 0, p.Options(&s.options)
}

// listen obeys the launching command; its end is the pod's.
func (s *supervisor) listen(c *net.UnixConn) {
	buf := make([]byte, 1)
	for {
		if _, err := c.Read(buf); err != nil {
			s.beginStop()
			return
		}
		switch buf[0] {
		case msgStop:
			s.beginStop()
		case msgKill:
			s.beginKill()
		case msgWinch:
			s.signalAll(syscall.SIGWINCH)
		}
	}
}

func (s *supervisor) signals() {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for range c {
		s.beginStop()
	}
}

func (s *supervisor) beginStop() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *supervisor) beginKill() {
	s.beginStop()
	s.killOnce.Do(func() { close(s.kill) })
}

func (s *supervisor) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// run runs the pod from its namespaces to its last app's end.
func (s *supervisor) run() (status int, err error) {
	id := s.pod.UUID
	defer func() { // the apps' status is theirs, whatever becomes of what the pod leaves
		if left := s.undo(); left != nil {
			s.warn("%v; rkt gc tries again", left)
		}
	}()
	if err := s.prepareHost(); err != nil {
		return 0, err
	}
	if s.box, err = startSandbox(s.hostname, filepath.Join(RuntimeDir(id), "empty"), !s.options.HostNet, !s.options.HostIPC); err != nil {
		return 0, err
	}
	if err := errors.Join(s.pod.SetPid(s.box.pid()), s.pod.SetStarted()); err != nil {
		return 0, err
	}
	if err := s.prepareNetwork(); err != nil {
		return 0, err
	}
	closeMDS, err := s.prepareMetadata()
	if err != nil {
		return 0, err
	}
	defer closeMDS()
	apps, err := s.prepareApps()
	if err != nil {
		return 0, err
	}
	return s.runApps(apps)
}

// undo leaves the networks while the pod's namespace is there, then ends it.
func (s *supervisor) undo() error {
	if s.box == nil {
		return cleanup(s.pod, "")
	}
	defer s.box.stop()
	if s.options.HostNet || s.box.stopped.Load() {
		return cleanup(s.pod, "")
	}
	return cleanup(s.pod, s.box.ns("net"))
}

// prepareHost makes the folders and moves this process into a cgroup of its
// own beside the apps', for a cgroup with controllers may hold no processes.
func (s *supervisor) prepareHost() error {
	dir := RuntimeDir(s.pod.UUID)
	for _, d := range []string{"empty", "runc", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("pod %s: %w", s.pod.UUID, err)
		}
	}
	s.runc = bundle.Runc{Root: filepath.Join(dir, "runc"), Log: filepath.Join(dir, "log")}
	s.hostname = s.options.Hostname
	if s.hostname == "" {
		s.hostname = "rkt-" + s.pod.UUID
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return fmt.Errorf("cgroup of the pod: %w", err)
	}
	path, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "0::")
	if !ok || !strings.HasSuffix(path, UnitName(s.pod.UUID)) {
		return fmt.Errorf("cgroup of the pod: %q is not that of %s on cgroup v2", strings.TrimSpace(string(data)), UnitName(s.pod.UUID))
	}
	s.cgroup = path
	leaf := filepath.Join("/sys/fs/cgroup", path, "supervisor")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return fmt.Errorf("cgroup of the pod: %w", err)
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("cgroup of the pod: %w", err)
	}
	// The supervisor answers the apps' questions: it comes before them. Where
	// there is no cpu controller it does without.
	if os.WriteFile(filepath.Join("/sys/fs/cgroup", path, "cgroup.subtree_control"), []byte("+cpu"), 0) == nil {
		os.WriteFile(filepath.Join(leaf, "cpu.weight"), []byte("5000"), 0)
	}
	return nil
}

func networkPod(p *pod.Pod, o Options) network.Pod {
	return network.Pod{ID: p.UUID, Dir: filepath.Join(RuntimeDir(p.UUID), "net"), Requests: o.Networks, ConfDirs: o.ConfDirs}
}

func (s *supervisor) prepareNetwork() error {
	mappings, err := podspec.PortMappings(s.manifest)
	if err != nil {
		return err
	}
	var nets []network.Attachment
	switch {
	case s.options.HostNet && len(mappings) > 0:
		return errors.New("ports can be exposed only from a pod that is in a network of its own, not with --net=host")
	case !s.options.HostNet:
		n := networkPod(s.pod, s.options)
		n.NetNS = s.box.ns("net")
		for _, m := range mappings {
			n.Ports = append(n.Ports, network.Port{HostPort: int(m.HostPort), ContainerPort: int(m.PodPort), Protocol: m.Protocol, HostIP: m.HostIP})
		}
		if nets, err = n.Add(context.Background()); err != nil {
			return err
		}
	}
	if err := s.applySysctls(); err != nil {
		return err
	}
	var known []pod.Net
	for _, a := range nets {
		one := pod.Net{Name: a.Name, IfName: a.IfName}
		for _, ip := range a.IPs {
			one.IPs = append(one.IPs, ip.String())
		}
		known = append(known, one)
	}
	if err := s.pod.SetNets(known); err != nil {
		return err
	}
	s.etc, err = makeEtc(RuntimeDir(s.pod.UUID), s.options, s.hostname, nets)
	return err
}

func (s *supervisor) applySysctls() error {
	settings, err := sysctls(s.manifest.Isolators, !s.options.HostNet)
	if err != nil || len(settings) == 0 {
		return err
	}
	return netns.Do(s.box.ns("net"), func() error {
		for key, value := range settings {
			path := filepath.Join("/proc/sys", filepath.Clean("/"+strings.ReplaceAll(key, ".", "/")))
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return fmt.Errorf("sysctl %s: %w", key, err)
			}
		}
		return nil
	})
}

// runApps starts all apps together. The pod ends when all have ended; the first
// one that fails ends it and gives its status.
func (s *supervisor) runApps(apps []*app) (int, error) {
	type end struct {
		app    *app
		status int
		err    error
	}
	ends := make(chan end)
	var ready sync.WaitGroup
	ready.Add(len(apps))
	for _, a := range apps {
		go func() {
			status, err := s.preStart(a)
			ready.Done()
			if status == 0 && err == nil {
				ready.Wait() // no app starts before all are ready to
				status, err = s.runApp(a)
			}
			ends <- end{a, status, err}
		}()
	}
	go s.awaitReady(apps)
	status := 0
	var failed error
	stop, kill := s.stop, s.kill
	var timeout <-chan time.Time
	for left := len(apps); left > 0; {
		select {
		case e := <-ends:
			left--
			failed = errors.Join(failed, e.err)
			if err := s.pod.SetStatus(e.app.name, e.status); err != nil {
				s.warn("status of app %s: %v", e.app.name, err)
			}
			if e.status != 0 || e.err != nil {
				if status == 0 {
					status = e.status
				}
				s.beginStop()
			}
		case <-stop:
			stop = nil
			s.signalAll(syscall.SIGTERM)
			timeout = time.After(s.stopWithin())
		case <-timeout:
			s.killApps(apps)
			timeout = time.After(time.Second)
		case <-kill:
			s.box.stop()
			kill = nil
		}
	}
	return status, failed
}

// awaitReady notes when every app's main process was started: runc writes the pid files.
func (s *supervisor) awaitReady(apps []*app) {
	for _, a := range apps {
		for {
			if _, err := os.Stat(a.pidFile()); err == nil {
				break
			}
			if s.stopping() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	s.pod.SetReady()
}
