package cli

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/depot"
	"photonbuild.invalid/compat/internal/gdn/server"
)

// stopLimit is how long requests may go on after the server is told to stop.
const stopLimit = 15 * time.Second

// serve runs the server until SIGTERM or SIGINT. Containers go on without it.
func serve(ctx context.Context, o *options) error {
	log, err := logger(o.level)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("gdn server needs to be root")
	}
	unix.Umask(0o022)
	o.depot.Log = log
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d, err := depot.Open(o.depot)
	if err != nil {
		return err
	}
	handles, err := d.Handles(nil)
	if err != nil {
		return err
	}
	if o.destroyContainersOnStartup {
		for _, h := range handles {
			if err := d.Destroy(ctx, h); err != nil {
				log.Error("cannot destroy a container of an earlier server", "handle", h, "error", err)
			}
		}
		handles = nil
	}
	listeners, err := listen(o, log)
	if err != nil {
		return err
	}
	debug, err := serveDebug(o)
	if err != nil {
		return err
	}
	defer debug()
	s := server.New(d, log)
	s.Watch(handles)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- s.Serve(l) }()
	}
	notify("READY=1\nSTATUS=serving the Garden API on " + o.socket)
	log.Info("serving", "version", Version, "socket", o.socket, "containers", len(handles))
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("stopping; the containers go on")
	}
	notify("STOPPING=1")
	limited, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	s.Shutdown(limited)
	return err
}

// logger writes to standard error; under systemd the journal has the time already.
func logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %q is none of debug, info, warn and error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
}

// listen opens the socket and, when asked, a TCP port.
func listen(o *options, log *slog.Logger) ([]net.Listener, error) {
	l, err := listenUnix(o.socket)
	if err != nil {
		return nil, err
	}
	all := []net.Listener{l}
	if o.ip != "" {
		address := net.JoinHostPort(o.ip, strconv.Itoa(int(o.port)))
		log.Warn("Garden's API has no authentication: whoever reaches this address is root on this machine", "address", address)
		t, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// serveDebug serves the counters of expvar until the end; without an address it does nothing.
func serveDebug(o *options) (end func(), err error) {
	if o.debugIP == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.debugIP, strconv.Itoa(int(o.debugPort))))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /debug/vars", expvar.Handler())
	debug := &http.Server{Handler: mux, ReadHeaderTimeout: 15 * time.Second}
	go func() { _ = debug.Serve(l) }()
	return func() { _ = debug.Close() }, nil
}

// listenUnix takes the place of a socket that nobody serves any more.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("something is serving on %s already", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	old := unix.Umask(0o117)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	return l, err
}

// notify tells systemd (sd_notify(3)); it does nothing elsewhere.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
