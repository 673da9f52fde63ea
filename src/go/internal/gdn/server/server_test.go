package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

func ask(t testing.TB, c *http.Client, method, path, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://garden"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(data))
}

// TestRoutes walks through every route of the table but the hijacked ones, with the bodies of
// the API document.
func TestRoutes(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	for _, step := range []struct{ method, path, body, want string }{
		{"GET", "/ping", "", `{}`},
		{"GET", "/capacity", "", `{"memory_in_bytes":1,"disk_in_bytes":2,"max_containers":3}`},
		{"GET", "/containers", "", `{"handles":[]}`},
		{"POST", "/containers", `{"bind_mounts":[],"grace_time":1200000000000,"handle":"h","network":"","rootfs":"/r","properties":{"a":"b"},"env":["X=y"],"limits":{"cpu_limits":{"limit_in_shares":2}}}`, `{"handle":"h"}`},
		{"POST", "/containers", ``, `{"handle":"generated"}`},
		{"GET", "/containers", "", `{"handles":["generated","h"]}`},
		{"GET", "/containers?a=b", "", `{"handles":["h"]}`},
		{"GET", "/containers?a=c", "", `{"handles":[]}`},
		{"GET", "/containers/h/info", "", `{"State":"active","Events":["oom"],"HostIP":"","ContainerIP":"","ContainerIPv6":"","ExternalIP":"","ContainerPath":"","ProcessIDs":null,"Properties":{"a":"b"},"MappedPorts":[{"HostPort":1234,"ContainerPort":5678}]}`},
		{"PUT", "/containers/h/stop", `{"kill":true}`, `{}`},
		{"PUT", "/containers/h/stop", ``, `{}`},
		{"PUT", "/containers/h/files?destination=/d&user=u", "tar", `{}`},
		{"GET", "/containers/h/files?source=/d", "", `/d|u|tar`},
		{"GET", "/containers/h/limits/bandwidth", "", `{}`},
		{"GET", "/containers/h/limits/cpu", "", `{"limit_in_shares":2}`},
		{"PUT", "/containers/h/limits/cpu", `{"limit_in_shares":4}`, `{"limit_in_shares":4}`},
		{"GET", "/containers/h/limits/memory", "", `{}`},
		{"PUT", "/containers/h/limits/memory", `{"limit_in_bytes":5}`, `{"limit_in_bytes":5}`},
		{"GET", "/containers/h/limits/disk", "", `{}`},
		{"PUT", "/containers/h/limits/disk", `{"byte_hard":6}`, `{"byte_hard":6}`},
		{"PUT", "/containers/h/limits/bandwidth", `{}`, `{}`},
		{"POST", "/containers/h/net/in", `{"handle":"h","host_port":0,"container_port":80}`, `{"host_port":61001,"container_port":80}`},
		{"POST", "/containers/h/net/out", `{"protocol":1,"networks":[{"start":"1.2.3.4"}],"ports":[{"start":80}],"log":true}`, `{}`},
		{"POST", "/containers/h/net/out/bulk", `[{"protocol":2},{"protocol":3,"icmps":{"type":8,"code":0}}]`, `{}`},
		{"PUT", "/containers/h/grace_time", `5000000000`, `{}`},
		{"GET", "/containers/h/properties", "", `{"a":"b"}`},
		{"PUT", "/containers/h/properties/k%2F1", `{"value":"v"}`, `{}`},
		{"GET", "/containers/h/properties/k%2F1", "", `{"value":"v"}`},
		{"DELETE", "/containers/h/properties/k%2F1", "", `{}`},
		{"DELETE", "/containers/generated", "", `{}`},
	} {
		code, got := ask(t, c, step.method, step.path, step.body)
		if code != 200 || got != step.want {
			t.Errorf("%s %s %s: got %d %s, want %s", step.method, step.path, step.body, code, got, step.want)
		}
	}
	h := f.containers["h"]
	if h.grace != 5*time.Second || h.killed == nil || *h.killed || len(h.rules) != 3 {
		t.Errorf("the backend was told something else: %+v", h)
	}
}

func TestBulk(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	ask(t, c, "POST", "/containers", `{"handle":"h"}`)
	for _, path := range []string{"/containers/bulk_info?handles=h%2Cnone", "/containers/bulk_metrics?handles=h%2Cnone"} {
		code, body := ask(t, c, "GET", path, "")
		var got map[string]struct {
			Info    *api.ContainerInfo
			Metrics *api.Metrics
			Err     *api.Error
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
			t.Fatalf("%s: %d %s: %v", path, code, body, err)
		}
		if len(got) != 2 || got["h"].Err != nil || got["none"].Err == nil || got["none"].Err.Type != "ContainerNotFoundError" {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestErrors(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	ask(t, c, "POST", "/containers", `{"handle":"h"}`)
	long := strings.Repeat("x", 300)
	for _, step := range []struct {
		method, path, body string
		code               int
		kind, message      string
	}{
		{"GET", "/containers/none/info", "", 404, "ContainerNotFoundError", "unknown handle: none"},
		{"DELETE", "/containers/none", "", 404, "ContainerNotFoundError", "unknown handle: none"},
		{"GET", "/containers/none/limits/bandwidth", "", 404, "ContainerNotFoundError", "unknown handle: none"},
		{"GET", "/containers/none/processes/p/attaches/1/stdout", "", 404, "ContainerNotFoundError", "unknown handle: none"},
		{"GET", "/containers/h/processes/p", "", 404, "ProcessNotFoundError", "unknown process: p"},
		{"GET", "/containers/h/processes/p/attaches/1/stdout", "", 404, "ProcessNotFoundError", "unknown stream 1"},
		{"POST", "/containers/h/processes", `{"path":"/missing"}`, 500, "ExecutableNotFoundError", "no such program"},
		{"POST", "/containers/h/processes", `{}`, 500, "", "path is missing"},
		{"POST", "/containers/h/processes", `{"path":"x","image":{"uri":"/y","username":"u"}}`, 500, "", "image.username and image.password"},
		{"POST", "/containers/h/processes", `{"path":"x","bind_mounts":[{}]}`, 500, "", "bind_mounts: "},
		{"POST", "/containers/h/processes", `{"path":"x","image":{"uri":"/y"},"bind_mounts":[{}]}`, 500, "", "bind_mounts[0]: src_path"},
		{"POST", "/containers/h/processes", `{"path":"x","limits":7}`, 400, "", "not the JSON"},
		{"POST", "/containers", `{"handle":"h"}`, 500, "", "already in use"},
		{"POST", "/containers", `{"handle":"` + long + `"}`, 500, "", "at most 255"},
		{"POST", "/containers", `{"handle":"a/b"}`, 500, "", "must not contain"},
		{"POST", "/containers", `{"handle":`, 400, "", "not the JSON"},
		{"POST", "/containers", `{"handle":7}`, 400, "", "not the JSON"},
		{"POST", "/containers", `{} {}`, 400, "", "not the JSON"},
		{"POST", "/containers", `{"limits":{"pid_limits":{"max":-1}}}`, 400, "", "not the JSON"},
		{"PUT", "/containers/h/grace_time", `-1`, 400, "", "negative"},
		{"PUT", "/containers/h/grace_time", ``, 400, "", "empty"},
		{"GET", "/containers/h/files", "", 400, "", "source"},
		{"GET", "/containers/h/files?source=/missing", "", 500, "", "it broke"},
		{"GET", "/containers/h/properties/none", "", 500, "", "does not exist"},
		{"PUT", "/containers/h/properties/k", `{}`, 400, "", "value"},
		{"PUT", "/containers/h/limits/bandwidth", `{"rate":1}`, 500, "", "not supported"},
		{"POST", "/containers/h/net/in", `{"host_port":70000}`, 500, "", "at most 65535"},
		{"POST", "/containers/h/net/out", `{"protocol":9}`, 500, "", "protocol 9"},
		{"POST", "/containers/h/net/out", `{"networks":[{"start":"1.1.1.2","end":"1.1.1.1"}]}`, 500, "", "starts after its end"},
		{"POST", "/containers/h/net/out", `{"networks":[{"start":"nonsense"}]}`, 400, "", "not the JSON"},
		{"GET", "/nowhere", "", 404, "", "no route"},
		{"POST", "/ping", "", 405, "", "not allowed"},
	} {
		code, body := ask(t, c, step.method, step.path, step.body)
		var got api.Error
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s %s: %d %q is no Garden error", step.method, step.path, code, body)
			continue
		}
		if code != step.code || got.Type != step.kind || !strings.Contains(got.Message, step.message) {
			t.Errorf("%s %s %s: got %d %s, want %d %s …%s…", step.method, step.path, step.body, code, body, step.code, step.kind, step.message)
		}
	}
}

func TestRequestLimits(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	if code, _ := ask(t, c, "POST", "/containers", `{"handle":"`+strings.Repeat("x", maxBody)+`"}`); code != 413 {
		t.Errorf("a huge body: got %d, want 413", code)
	}
	if code, _ := ask(t, c, "POST", "/containers", `{}`, "Content-Type", "image/png"); code != 415 {
		t.Errorf("a body of another type: got %d, want 415", code)
	}
	if code, _ := ask(t, c, "POST", "/containers", `{}`, "Content-Type", "application/json; charset=utf-8"); code != 200 {
		t.Errorf("JSON with a parameter: got %d, want 200", code)
	}
	f.pingErr = &api.Error{Type: api.TypeUnrecoverable, Message: "broken"}
	if code, body := ask(t, c, "GET", "/ping", ""); code != 500 || !strings.Contains(body, `"Type":"UnrecoverableError"`) {
		t.Errorf("a broken backend: got %d %s", code, body)
	}
}

// TestStreamOutBreaks: half a stream must not look like a whole one.
func TestStreamOutBreaks(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	ask(t, c, "POST", "/containers", `{"handle":"h"}`)
	answer, err := c.Get("http://garden/containers/h/files?source=/broken")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("a broken stream ended as if it were whole")
	}
}

func TestGraceTime(t *testing.T) {
	f := newFake()
	c, _, _ := serving(t, f)
	ask(t, c, "POST", "/containers", `{"handle":"short","grace_time":50000000}`)
	ask(t, c, "POST", "/containers", `{"handle":"long","grace_time":3600000000000}`)
	ask(t, c, "POST", "/containers", `{"handle":"kept","grace_time":300000000}`)
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ask(t, c, "GET", "/containers/kept/properties", "")
	}
	if _, got := ask(t, c, "GET", "/containers", ""); got != `{"handles":["kept","long"]}` {
		t.Errorf("after the grace time: %s", got)
	}
}
