package metadata

import (
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

const (
	tokenHeader = "Rkt-Pod-Token"
	apiBase     = "/acMetadata/v1"
	typeJSON    = "application/json"
	typeText    = "text/plain; charset=us-ascii"
	maxRequest  = 8 << 20
	maxForm     = 1 << 20
)

// static are the requests that a registration alone answers, by ace.md's tables.
var static = map[string]func(*entry, http.ResponseWriter, *http.Request){
	"GET " + apiBase + "/pod/annotations":           podAnnotations,
	"GET " + apiBase + "/pod/manifest":              podManifest,
	"GET " + apiBase + "/pod/uuid":                  podUUID,
	"GET " + apiBase + "/apps/{app}/annotations":    withApp(appAnnotations),
	"GET " + apiBase + "/apps/{app}/image/manifest": withApp(imageManifest),
	"GET " + apiBase + "/apps/{app}/image/id":       withApp(imageID),
}

// Server answers requests out of its store.
type Server struct {
	store *store
	mux   *http.ServeMux
}

// NewServer makes a server whose state lies in dir, which is made with mode 0700.
func NewServer(dir string) (*Server, error) {
	st, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{store: st, mux: http.NewServeMux()}
	s.mux.HandleFunc("PUT /pods/{uuid}", s.register)
	s.mux.HandleFunc("DELETE /pods/{uuid}", s.unregister)
	for path, f := range static {
		s.mux.HandleFunc(path, s.withPod(f))
	}
	s.mux.HandleFunc("POST "+apiBase+"/pod/hmac/sign", s.withPod(s.sign))
	s.mux.HandleFunc("POST "+apiBase+"/pod/hmac/verify", s.withPod(s.verify))
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var reg Registration
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&reg); err != nil {
		http.Error(w, "registration: "+err.Error(), http.StatusBadRequest)
		return
	}
	if reg.UUID != r.PathValue("uuid") {
		http.Error(w, "registration: its uuid is not the path's", http.StatusBadRequest)
		return
	}
	e, err := check(reg)
	if err != nil {
		http.Error(w, "registration: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.store.put(e); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, typeText, s.store.podKey(e.UUID))
}

func (s *Server) unregister(w http.ResponseWriter, r *http.Request) {
	s.store.remove(r.PathValue("uuid"))
	w.WriteHeader(http.StatusNoContent)
}

// withPod finds the pod by its token.
func (s *Server) withPod(f func(*entry, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e := s.store.byToken(r.Header.Get(tokenHeader))
		if e == nil {
			http.Error(w, "no pod has this token", http.StatusUnauthorized)
			return
		}
		f(e, w, r)
	}
}

func withApp(f func(*entry, string, http.ResponseWriter)) func(*entry, http.ResponseWriter, *http.Request) {
	return func(e *entry, w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("app")
		if e.images[name] == nil {
			http.Error(w, "the pod has no such app", http.StatusNotFound)
			return
		}
		f(e, name, w)
	}
}

func answer(w http.ResponseWriter, contentType string, body []byte) {
	w.Header()["Content-Type"] = []string{contentType}
	w.Write(body)
}

func answerJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, typeJSON, data)
}

func podAnnotations(e *entry, w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, e.manifest.Annotations)
}

func podManifest(e *entry, w http.ResponseWriter, _ *http.Request) { answer(w, typeJSON, e.Pod) }

func podUUID(e *entry, w http.ResponseWriter, _ *http.Request) { answer(w, typeText, []byte(e.UUID)) }

func appAnnotations(e *entry, app string, w http.ResponseWriter) { answerJSON(w, e.annotations(app)) }

func imageManifest(e *entry, app string, w http.ResponseWriter) {
	answer(w, typeJSON, e.Apps[app].Manifest)
}

func imageID(e *entry, app string, w http.ResponseWriter) {
	answer(w, typeText, []byte(e.Apps[app].ImageID))
}

func (s *Server) sign(e *entry, w http.ResponseWriter, r *http.Request) {
	signWith(s.store.podKey(e.UUID), w, r)
}

// signWith answers with the signature by the pod's own key.
func signWith(key []byte, w http.ResponseWriter, r *http.Request) {
	if form(w, r, "content") {
		answer(w, typeText, []byte(base64.StdEncoding.EncodeToString(signature(key, r.PostForm.Get("content")))))
	}
}

func (s *Server) verify(_ *entry, w http.ResponseWriter, r *http.Request) {
	if !form(w, r, "content", "uuid", "signature") {
		return
	}
	id := strings.ToLower(r.PostForm.Get("uuid"))
	if uuid.Validate(id) != nil || len(id) != 36 {
		http.Error(w, "the uuid is none", http.StatusForbidden)
		return
	}
	verifyWith(s.store.podKey(id), w, r)
}

// verifyWith answers whether the signature of a parsed form is by the key.
func verifyWith(key []byte, w http.ResponseWriter, r *http.Request) {
	given, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.PostForm.Get("signature")))
	if err != nil || !hmac.Equal(given, signature(key, r.PostForm.Get("content"))) {
		http.Error(w, "the signature is not that pod's", http.StatusForbidden)
		return
	}
	answer(w, typeText, nil)
}

// form parses a POSTed form and answers 400 when a field is missing.
func form(w http.ResponseWriter, r *http.Request, fields ...string) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "form: "+err.Error(), http.StatusBadRequest)
		return false
	}
	for _, f := range fields {
		if !r.PostForm.Has(f) {
			http.Error(w, fmt.Sprintf("form: no field %q", f), http.StatusBadRequest)
			return false
		}
	}
	return true
}

// podKey is the pod's own key, derived from the service's: what one pod signs
// or learns says nothing of another's.
func (s *store) podKey(id string) []byte { return signature(s.key, id) }

// signature is HMAC (RFC 2104) with SHA-512.
func signature(key []byte, content string) []byte {
	sum := hmac.New(sha512.New, key)
	io.WriteString(sum, content)
	return sum.Sum(nil)
}

func sameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
