package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// route is a row of the route table.
type route struct {
	pattern string
	handler handler
}

// Patterns lists the routes served, for the documentation's test.
func Patterns() []string {
	var out []string
	for _, r := range (&Server{}).routes() {
		out = append(out, r.pattern)
	}
	return out
}

// routes is Garden's route table. The PUT routes of limits are those of the older API document.
func (s *Server) routes() []route {
	const c = "/containers/{handle}"
	return []route{
		{"GET /ping", s.ping},
		{"GET /capacity", s.capacity},
		{"GET /containers", s.list},
		{"POST /containers", s.create},
		{"GET /containers/bulk_info", s.bulkInfo},
		{"GET /containers/bulk_metrics", s.bulkMetrics},
		{"DELETE " + c, s.destroy},
		{"GET " + c + "/info", s.info},
		{"GET " + c + "/metrics", s.metrics},
		{"PUT " + c + "/stop", s.stop},
		{"PUT " + c + "/files", s.streamIn},
		{"GET " + c + "/files", s.streamOut},
		{"GET " + c + "/limits/bandwidth", s.bandwidth},
		{"PUT " + c + "/limits/bandwidth", s.setBandwidth},
		{"GET " + c + "/limits/cpu", s.cpu},
		{"PUT " + c + "/limits/cpu", s.setCPU},
		{"GET " + c + "/limits/disk", s.disk},
		{"PUT " + c + "/limits/disk", s.setDisk},
		{"GET " + c + "/limits/memory", s.memory},
		{"PUT " + c + "/limits/memory", s.setMemory},
		{"POST " + c + "/net/in", s.netIn},
		{"POST " + c + "/net/out", s.netOut},
		{"POST " + c + "/net/out/bulk", s.netOutBulk},
		{"POST " + c + "/processes", s.run},
		{"GET " + c + "/processes/{pid}", s.attach},
		{"GET " + c + "/processes/{pid}/attaches/{stream}/stdout", s.stdout},
		{"GET " + c + "/processes/{pid}/attaches/{stream}/stderr", s.stderr},
		{"PUT " + c + "/grace_time", s.setGraceTime},
		{"GET " + c + "/properties", s.properties},
		{"GET " + c + "/properties/{key}", s.property},
		{"PUT " + c + "/properties/{key}", s.setProperty},
		{"DELETE " + c + "/properties/{key}", s.removeProperty},
	}
}

func (s *Server) ping(http.ResponseWriter, *http.Request) (any, error) {
	return nil, s.backend.Ping()
}

func (s *Server) capacity(http.ResponseWriter, *http.Request) (any, error) {
	return s.backend.Capacity()
}

// list takes every key of the query as a property that the container must have.
func (s *Server) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	wanted := map[string]string{}
	for key, values := range r.URL.Query() {
		wanted[key] = values[0]
	}
	handles, err := s.backend.Handles(wanted)
	if handles == nil {
		handles = []string{}
	}
	return struct {
		Handles []string `json:"handles"`
	}{handles}, err
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) (any, error) {
	var spec api.ContainerSpec
	if err := readJSON(w, r, &spec, true); err != nil {
		return nil, err
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	// A client that goes away does not stop a creation half way.
	handle, err := s.backend.Create(context.WithoutCancel(r.Context()), spec)
	if err != nil {
		return nil, err
	}
	s.grace.acquire(handle)()
	return struct {
		Handle string `json:"handle"`
	}{handle}, nil
}

func (s *Server) destroy(_ http.ResponseWriter, r *http.Request) (any, error) {
	handle := r.PathValue("handle")
	if err := s.backend.Destroy(context.WithoutCancel(r.Context()), handle); err != nil {
		return nil, err
	}
	s.grace.forget(handle)
	return nil, nil
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Kill bool `json:"kill"`
	}
	if err := readJSON(w, r, &body, true); err != nil {
		return nil, err
	}
	return nil, s.backend.Stop(context.WithoutCancel(r.Context()), r.PathValue("handle"), body.Kill)
}

func (s *Server) info(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Info(r.PathValue("handle"))
}

func (s *Server) metrics(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Metrics(r.PathValue("handle"))
}

func (s *Server) bulkInfo(_ http.ResponseWriter, r *http.Request) (any, error) {
	return bulk(r, func(h string) api.ContainerInfoEntry {
		info, err := s.backend.Info(h)
		if err != nil {
			return api.ContainerInfoEntry{Err: api.Wrap(err)}
		}
		return api.ContainerInfoEntry{Info: info}
	}), nil
}

func (s *Server) bulkMetrics(_ http.ResponseWriter, r *http.Request) (any, error) {
	return bulk(r, func(h string) api.ContainerMetricsEntry {
		m, err := s.backend.Metrics(h)
		if err != nil {
			return api.ContainerMetricsEntry{Err: api.Wrap(err)}
		}
		return api.ContainerMetricsEntry{Metrics: m}
	}), nil
}

// bulk asks for the comma-separated handles of the query, four at a time.
func bulk[T any](r *http.Request, one func(string) T) map[string]T {
	out := map[string]T{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for h := range strings.SplitSeq(r.URL.Query().Get("handles"), ",") {
		if h == "" {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			value := one(h)
			mu.Lock()
			out[h] = value
			mu.Unlock()
			<-slots
		})
	}
	wg.Wait()
	return out
}

func (s *Server) streamIn(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	return nil, s.backend.StreamIn(r.Context(), r.PathValue("handle"), q.Get("destination"), q.Get("user"), r.Body)
}

// streamOut sends the tar stream. An error before the first byte is a Garden error; a later one
// breaks the connection, so that the client does not take half a stream for a whole one.
func (s *Server) streamOut(w http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	source := q.Get("source")
	if source == "" {
		return nil, api.BadRequest("the query has no source")
	}
	tar, err := s.backend.StreamOut(r.Context(), r.PathValue("handle"), source, q.Get("user"))
	if err != nil {
		return nil, err
	}
	defer tar.Close()
	first := make([]byte, 32<<10)
	n, err := io.ReadAtLeast(tar, first, 1)
	if err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	if _, err = w.Write(first[:n]); err == nil {
		_, err = io.Copy(w, tar)
	}
	if err != nil {
		s.log.Warn("stream out broke off", "handle", r.PathValue("handle"), "source", source, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil, errAnswered
}

func (s *Server) setGraceTime(w http.ResponseWriter, r *http.Request) (any, error) {
	var nanoseconds int64
	if err := readJSON(w, r, &nanoseconds, false); err != nil {
		return nil, err
	}
	if nanoseconds < 0 {
		return nil, api.BadRequest("grace time %d must not be negative", nanoseconds)
	}
	return nil, s.backend.SetGraceTime(r.PathValue("handle"), time.Duration(nanoseconds))
}
