package metadata

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	uuidA = "6733c088-a507-4694-aabf-0000000000aa"
	uuidB = "6733c088-a507-4694-aabf-0000000000bb"
	hash  = "sha512-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func registration(uuid, token string) Registration {
	return Registration{UUID: uuid, Token: token,
		Pod: json.RawMessage(`{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"main","image":{"id":"` + hash + `"},
"annotations":[{"name":"both","value":"app"}]}],"volumes":[],"isolators":[],"annotations":[{"name":"ip-address","value":"10.1.2.3"}],"ports":[]}`),
		Apps: map[string]App{"main": {ImageID: hash, Manifest: json.RawMessage(`{"acVersion":"0.8.11","acKind":"ImageManifest","name":"example.com/a",
"annotations":[{"name":"both","value":"image"},{"name":"created","value":"2014-10-27T19:32:27Z"}]}`)}}}
}

var tokenA, tokenB = strings.Repeat("a", 43), strings.Repeat("b", 43)

// service runs a server on a unix socket.
func service(t *testing.T, dir string) string {
	t.Helper()
	server, err := NewServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, server) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", st.Mode(), err)
	}
	return socket
}

func register(t *testing.T, socket, uuid, token string) {
	t.Helper()
	if _, err := Register(context.Background(), socket, registration(uuid, token)); err != nil {
		t.Fatal(err)
	}
}

func pod(t *testing.T, socket, token string) string {
	t.Helper()
	uuid := uuidA
	if token == tokenB {
		uuid = uuidB
	}
	key, err := Register(context.Background(), socket, registration(uuid, token))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ForPod(socket, registration(uuid, token), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func get(t *testing.T, url string) (int, string, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(body)
}

// The endpoints, their methods and content types are ace.md's tables.
func TestEndpoints(t *testing.T) {
	socket := service(t, t.TempDir())
	register(t, socket, uuidA, tokenA)
	base := pod(t, socket, tokenA) + "/" + tokenA + apiBase
	for path, want := range map[string][2]string{
		"/pod/annotations":          {typeJSON, `[{"name":"ip-address","value":"10.1.2.3"}]`},
		"/pod/uuid":                 {typeText, uuidA},
		"/apps/main/annotations":    {typeJSON, `[{"name":"both","value":"app"},{"name":"created","value":"2014-10-27T19:32:27Z"}]`},
		"/apps/main/image/id":       {typeText, hash},
		"/apps/main/image/manifest": {typeJSON, `"example.com/a"`},
		"/pod/manifest":             {typeJSON, `"PodManifest"`},
	} {
		code, kind, body := get(t, base+path)
		if code != 200 || kind != want[0] || !strings.Contains(body, want[1]) {
			t.Errorf("%s: %d %q %s", path, code, kind, body)
		}
	}
	for path, want := range map[string]int{"/apps/none/image/id": 404, "/nothing": 404, "/pod/hmac/sign": 405} {
		if code, _, _ := get(t, base+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func post(t *testing.T, url string, form url.Values) (int, string) {
	t.Helper()
	resp, err := http.PostForm(url, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestSignaturesTellPodsApart(t *testing.T) {
	dir := t.TempDir()
	socket := service(t, dir)
	register(t, socket, uuidA, tokenA)
	register(t, socket, uuidB, tokenB)
	a, b := pod(t, socket, tokenA)+"/"+tokenA+apiBase, pod(t, socket, tokenB)+"/"+tokenB+apiBase
	code, signature := post(t, a+"/pod/hmac/sign", url.Values{"content": {"text"}})
	if code != 200 || len(signature) != 88 { // 64 bytes in base64
		t.Fatalf("sign: %d %q", code, signature)
	}
	for _, c := range []struct {
		content, uuid, signature string
		want                     int
	}{
		{"text", uuidA, signature, 200},
		{"text", strings.ToUpper(uuidA), signature, 200},
		{"texts", uuidA, signature, 403},
		{"text", uuidB, signature, 403},
		{"text", "x", signature, 403},
		{"text", uuidA, "not base64!", 403},
		{"text", uuidA, "", 403},
	} {
		got, _ := post(t, b+"/pod/hmac/verify", url.Values{"content": {c.content}, "uuid": {c.uuid}, "signature": {c.signature}})
		if got != c.want {
			t.Errorf("verify %+v: %d", c, got)
		}
	}
	if code, _ := post(t, b+"/pod/hmac/verify", url.Values{"content": {"text"}}); code != 400 {
		t.Errorf("verify without fields: %d", code)
	}
	if st, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key %v, %v", st.Mode(), err)
	}
}

func TestAPodReachesNothingButItsOwn(t *testing.T) {
	socket := service(t, t.TempDir())
	register(t, socket, uuidA, tokenA)
	register(t, socket, uuidB, tokenB)
	base := pod(t, socket, tokenA)
	for _, path := range []string{"", "/", "/" + tokenA, "/" + tokenB + apiBase + "/pod/uuid", "/" + tokenA + "/pods/" + uuidB,
		"/" + tokenA + apiBase + "/../../pods/" + uuidB, apiBase + "/pod/uuid", "/" + tokenA + "/acMetadata/v2/x"} {
		if code, _, body := get(t, base+path); code != 404 && code != 405 {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
	}
	req, _ := http.NewRequest("DELETE", base+"/"+tokenA+apiBase+"/pod/uuid", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 405 {
		t.Errorf("DELETE: %v %v", resp, err)
	}
}

// verifyAt asks a service, as another pod's supervisor does.
func verifyAt(t *testing.T, socket, token, signature string) int {
	t.Helper()
	form := url.Values{"content": {"x"}, "uuid": {uuidA}, "signature": {signature}}
	req, err := http.NewRequest("POST", "http://x"+apiBase+"/pod/hmac/verify", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(tokenHeader, token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client(socket).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestRegistrationsOutliveTheService(t *testing.T) {
	dir := t.TempDir()
	socket := service(t, dir)
	register(t, socket, uuidB, tokenB)
	_, signature := post(t, pod(t, socket, tokenA)+"/"+tokenA+apiBase+"/pod/hmac/sign", url.Values{"content": {"x"}})
	again := service(t, dir)
	if code := verifyAt(t, again, tokenB, signature); code != 200 {
		t.Errorf("verify: %d", code)
	}
	if err := Unregister(again, uuidB); err != nil {
		t.Fatal(err)
	}
	if code := verifyAt(t, again, tokenB, signature); code != 401 {
		t.Errorf("after the end: %d", code)
	}
	if err := Unregister(filepath.Join(dir, "none"), uuidA); err != nil {
		t.Errorf("no service: %v", err)
	}
}

func TestBadRegistrations(t *testing.T) {
	socket := service(t, t.TempDir())
	for what, change := range map[string]func(*Registration){
		"uuid":         func(r *Registration) { r.UUID = "x" },
		"token":        func(r *Registration) { r.Token = "short" },
		"pod manifest": func(r *Registration) { r.Pod = json.RawMessage(`{}`) },
		"no image":     func(r *Registration) { r.Apps = nil },
	} {
		r := registration(uuidA, tokenA)
		change(&r)
		if _, err := Register(context.Background(), socket, r); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestASecondServiceIsRefused(t *testing.T) {
	socket := service(t, t.TempDir())
	if l, err := Listen(socket); err == nil {
		l.Close()
		t.Error("two services on one socket")
	}
	if c, err := net.Dial("unix", socket); err != nil {
		t.Errorf("the first one is gone: %v", err)
	} else {
		c.Close()
	}
}

// FuzzServer: no request makes the server fail, and only a registered token opens a pod.
func FuzzServer(f *testing.F) {
	f.Add("GET", apiBase+"/pod/uuid", tokenA, "")
	f.Add("POST", apiBase+"/pod/hmac/verify", tokenA, "content=x&uuid="+uuidA+"&signature=AA==")
	f.Add("PUT", "/pods/"+uuidB, "", `{"uuid":"`+uuidB+`","token":"`+tokenB+`","pod":{},"apps":{}}`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, method, path, token, body string) {
		server, err := NewServer(dir)
		if err != nil {
			t.Fatal(err)
		}
		e, err := check(registration(uuidA, tokenA))
		if err != nil {
			t.Fatal(err)
		}
		server.store.pods[uuidA] = e
		req, err := http.NewRequest(method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set(tokenHeader, token)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if strings.HasPrefix(path, apiBase+"/") && token != tokenA && w.Code == 200 {
			t.Fatalf("%s %s was answered to the token %q", method, path, token)
		}
	})
}

// A pod that begins many forms and never ends them takes a bounded part of its supervisor.
func TestStalledFormsAreBounded(t *testing.T) {
	r := registration(uuidA, tokenA)
	h, err := ForPod(filepath.Join(t.TempDir(), "none"), r, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := PodServer(h)
	if server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 {
		t.Error("a request may take for ever")
	}
	go server.Serve(Bounded(l))
	defer server.Close()
	path := "/" + r.Token + "/acMetadata/v1/pod/hmac/sign"
	head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\ncontent="
	var refused, waiting atomic.Int32
	var all sync.WaitGroup
	for range maxForms + 8 {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, head)
		c.SetReadDeadline(time.Now().Add(2 * formPatience))
		all.Go(func() {
			line, err := bufio.NewReader(c).ReadString('\n')
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				waiting.Add(1)
			case strings.Contains(line, " 503 "):
				refused.Add(1)
			default:
				t.Errorf("%q %v", line, err)
			}
		})
	}
	all.Wait()
	if waiting.Load() != maxForms || refused.Load() != 8 {
		t.Errorf("%d forms are being read, %d were refused", waiting.Load(), refused.Load())
	}
	for range maxConnections { // the rest of them say nothing
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /"+r.Token+"/acMetadata/v1/pod/uuid HTTP/1.0\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beyond %d connections: %d, %v", maxConnections, n, err)
	}
}

// FuzzForPod: what a pod sends is answered, and nothing is without the pod's token.
func FuzzForPod(f *testing.F) {
	f.Add("GET", "/"+tokenA+"/acMetadata/v1/pod/manifest", "", "")
	f.Add("POST", "/"+tokenA+"/acMetadata/v1/pod/hmac/sign", "application/x-www-form-urlencoded", "content=x")
	f.Add("POST", "/"+tokenA+"/acMetadata/v1/pod/hmac/verify", "application/x-www-form-urlencoded", "content=x&uuid="+uuidB+"&signature=eA==")
	f.Add("GET", "//"+tokenA+"/../pods/x", "multipart/form-data; boundary=x", "--x")
	r := registration(uuidA, tokenA)
	h, err := ForPod(filepath.Join(f.TempDir(), "none"), r, []byte("key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, kind, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		q, err := http.NewRequest(method, "http://x/", strings.NewReader(body))
		if err != nil {
			return
		}
		q.URL.Path, q.URL.RawPath, q.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
		q.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		if w.Code == http.StatusOK && !strings.Contains(u.Path, tokenA) {
			t.Errorf("%s %s is answered without the token", method, path)
		}
	})
}
