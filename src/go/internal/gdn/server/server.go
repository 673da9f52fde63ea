package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// maxBody is the largest JSON body accepted.
const maxBody = 4 << 20

// Server is an http.Handler.
type Server struct {
	backend Backend
	log     *slog.Logger
	mux     *http.ServeMux
	streams *streams
	grace   *grace
	http    *http.Server
}

// New makes a server over backend.
func New(backend Backend, log *slog.Logger) *Server {
	s := &Server{backend: backend, log: log, mux: http.NewServeMux(), streams: newStreams()}
	s.grace = newGrace(backend, log)
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.pattern, s.handle(r))
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// Watch starts the grace times of containers that exist already.
func (s *Server) Watch(handles []string) {
	for _, h := range handles {
		s.grace.acquire(h)()
	}
}

// Serve answers on l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown lets running requests finish for a while and then closes every connection. The
// containers and their processes stay.
func (s *Server) Shutdown(ctx context.Context) {
	s.grace.stop()
	s.streams.closeAll()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
}

// handler answers one request: a value to send as JSON (nil for {}), or an error. A handler
// that has answered by itself returns errAnswered.
type handler func(w http.ResponseWriter, r *http.Request) (any, error)

var errAnswered = errors.New("already answered")

// ServeHTTP answers every request, those without a route too, in Garden's form.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.noRoute(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	probe := probeWriter{header: http.Header{}}
	s.mux.ServeHTTP(&probe, r)
	err := &api.Error{Status: http.StatusNotFound, Message: "no route " + r.Method + " " + r.URL.Path}
	if probe.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		err = &api.Error{Status: http.StatusMethodNotAllowed,
			Message: "method " + r.Method + " is not allowed on " + r.URL.Path + "; allowed: " + probe.header.Get("Allow")}
	}
	s.fail(w, r, err)
}

// probeWriter learns what the multiplexer would have answered.
type probeWriter struct {
	header http.Header
	code   int
}

func (p *probeWriter) Header() http.Header         { return p.header }
func (p *probeWriter) Write(b []byte) (int, error) { return len(b), nil }
func (p *probeWriter) WriteHeader(code int)        { p.code = code }

// handle wraps a route: the container is referenced while the request runs, and the answer or
// error is encoded.
func (s *Server) handle(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h := r.PathValue("handle"); h != "" {
			defer s.grace.acquire(h)()
		}
		started := time.Now()
		value, err := rt.handler(w, r)
		switch {
		case errors.Is(err, errAnswered):
		case err != nil:
			s.fail(w, r, err)
		default:
			writeJSON(w, value)
		}
		s.log.Debug("request", "method", r.Method, "path", r.URL.Path, "took", time.Since(started))
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := api.Wrap(err)
	s.log.Info("request failed", "method", r.Method, "path", r.URL.Path, "status", e.StatusCode(), "error", e.Message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.StatusCode())
	_, _ = w.Write(append(e.Encode(), '\n'))
}

func writeJSON(w http.ResponseWriter, value any) {
	if value == nil {
		value = struct{}{}
	}
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// readJSON decodes exactly one JSON value into v. An empty body is an error unless optional.
func readJSON(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return &api.Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is larger than 4 MiB"}
		}
		return api.BadRequest("cannot read the body: %v", err)
	}
	return Decode(body, v, optional)
}

// Decode decodes a JSON body of a request. Keys that are not known are ignored, as Garden does;
// anything after the value is an error.
func Decode(body []byte, v any, optional bool) error {
	if len(strings.TrimSpace(string(body))) == 0 {
		if optional {
			return nil
		}
		return api.BadRequest("the body is empty: a JSON value is needed")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return api.BadRequest("the body is not the JSON that is needed: %v", err)
	}
	return nil
}

// checkContentType accepts JSON, nothing, and what curl -d sends without being asked.
func checkContentType(value string) error {
	if value == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(value)
	if err == nil && (kind == "application/json" || kind == "application/x-www-form-urlencoded") {
		return nil
	}
	return &api.Error{Status: http.StatusUnsupportedMediaType,
		Message: "content type " + value + " is not supported: send application/json"}
}
