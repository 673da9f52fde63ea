package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// control is a hijacked connection.
type control struct {
	net.Conn
	r *bufio.Reader
	d *json.Decoder
}

func hijackRequest(t testing.TB, socket, method, path, body string) *control {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: garden\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode/100 != 2 || answer.Close || len(answer.TransferEncoding) != 1 {
		data, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s %s: %d %v %s", method, path, answer.StatusCode, answer.TransferEncoding, data)
	}
	return &control{conn, r, json.NewDecoder(r)}
}

func (c *control) next(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := c.d.Decode(&m); err != nil {
		t.Fatalf("no message came: %v", err)
	}
	return m
}

func start(t testing.TB, body string) (f *fake, socket string, c *control, stream string) {
	t.Helper()
	f = newFake()
	client, socket, _ := serving(t, f)
	ask(t, client, "POST", "/containers", `{"handle":"h"}`)
	c = hijackRequest(t, socket, "POST", "/containers/h/processes", body)
	first := c.next(t)
	if first["process_id"] != "p1" || first["stream_id"] == "" {
		t.Fatalf("first message: %v", first)
	}
	return f, socket, c, first["stream_id"].(string)
}

func TestRunStreams(t *testing.T) {
	f, socket, c, id := start(t, `{"path":"cat","args":["-u"],"user":"alice","tty":{"window_size":{"columns":100,"rows":200}}}`)
	out := hijackRequest(t, socket, "GET", "/containers/h/processes/p1/attaches/"+id+"/stdout", "")
	errs := hijackRequest(t, socket, "GET", "/containers/h/processes/p1/attaches/"+id+"/stderr", "")
	fmt.Fprint(c, `{"process_id":"p1","source":0,"data":"hello "}`, `{"process_id":"p1","source":0,"data":"world"}`,
		`{"process_id":"p1","tty":{"window_size":{"columns":80,"rows":24}}}`, `{"process_id":"p1","signal":0}`)
	if end := c.next(t); end["exit_status"] != float64(143) || end["process_id"] != "p1" {
		t.Errorf("last message: %v", end)
	}
	if got, _ := io.ReadAll(out.r); string(got) != "hello world" {
		t.Errorf("stdout: %q", got)
	}
	if got, _ := io.ReadAll(errs.r); string(got) != "signalled" {
		t.Errorf("stderr: %q", got)
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("the control connection stays open: %v", err)
	}
	p := f.process("h", "p1")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size.Columns != 80 || p.size.Rows != 24 || !p.delivered || p.spec.User != "alice" || p.spec.TTY.WindowSize.Rows != 200 {
		t.Errorf("the process was told something else: %+v", p)
	}
}

// TestLateOutput: the output connections may come after the end.
func TestLateOutput(t *testing.T) {
	_, socket, c, id := start(t, `{"path":"cat"}`)
	fmt.Fprint(c, `{"source":0,"data":"late"}`, `{"source":0}`)
	if end := c.next(t); end["exit_status"] != float64(3) {
		t.Errorf("last message: %v", end)
	}
	out := hijackRequest(t, socket, "GET", "/containers/h/processes/p1/attaches/"+id+"/stdout", "")
	if got, _ := io.ReadAll(out.r); string(got) != "late" {
		t.Errorf("stdout: %q", got)
	}
}

// TestHalfClose: a client that has no more to say still hears the end.
func TestHalfClose(t *testing.T) {
	f, _, c, _ := start(t, `{"path":"cat"}`)
	if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	f.process("h", "p1").events <- Event{Exited: true, Status: 0}
	if end := c.next(t); end["exit_status"] != float64(0) {
		t.Errorf("last message: %v", end)
	}
}

// TestVanish: a client that goes away ends the stream and not the process.
func TestVanish(t *testing.T) {
	f, _, c, _ := start(t, `{"path":"cat"}`)
	c.Close()
	p := f.process("h", "p1")
	select {
	case <-p.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream of a client that is gone stays open")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delivered {
		t.Error("an end was delivered to nobody")
	}
}

func TestBadMessages(t *testing.T) {
	for _, message := range []string{`nonsense`, `{"signal":7}`, `{"source":1,"data":"x"}`, `{"data":7,"source":0}`,
		`{"source":0,"data":"` + strings.Repeat("x", maxMessage+1) + `"}`} {
		_, _, c, _ := start(t, `{"path":"cat"}`)
		go fmt.Fprint(c, message) // the server may hang up before it is through
		answer := c.next(t)
		if text, _ := answer["error"].(string); !strings.Contains(text, "not understood") {
			t.Errorf("%.20s: %v", message, answer)
		}
	}
}

func TestSecondAttachIsRefused(t *testing.T) {
	_, socket, _, id := start(t, `{"path":"cat"}`)
	path := "/containers/h/processes/p1/attaches/" + id + "/stdout"
	first := hijackRequest(t, socket, "GET", path, "")
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: g\r\n\r\n", path)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 500 {
		t.Fatalf("a second connection: %v %v", answer, err)
	}
	first.Close()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		c2, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c2, "GET %s HTTP/1.1\r\nHost: g\r\n\r\n", path)
		answer, err := http.ReadResponse(bufio.NewReader(c2), nil)
		c2.Close()
		if err == nil && answer.StatusCode == 200 {
			return
		}
	}
	t.Error("the stream stays taken after its client is gone")
}

// TestSink: what nobody reads is bounded, what is read waits.
func TestSink(t *testing.T) {
	s := newSink()
	for range 40 {
		s.put(make([]byte, 64<<10))
	}
	if len(s.data) > sinkSize {
		t.Errorf("%d bytes are kept", len(s.data))
	}
	if err := s.attach(); err != nil {
		t.Fatal(err)
	}
	blocked := make(chan struct{})
	go func() { s.put([]byte("more")); close(blocked) }()
	select {
	case <-blocked:
		t.Error("a full sink took more")
	case <-time.After(50 * time.Millisecond):
	}
	s.detach()
	<-blocked
}

func FuzzCreateBody(f *testing.F) {
	f.Add([]byte(`{"handle":"h","bind_mounts":[{"src_path":"/a","dst_path":"/b","mode":1}],"limits":{"disk_limits":{"byte_hard":1}},"netin":[{"host_port":1}]}`))
	f.Add([]byte(`{"properties":{"a":"b"},"netout_rules":[{"networks":[{"start":"1.2.3.4","end":"1.2.3.9"}],"ports":[{"start":1,"end":2}],"protocol":1}]}`))
	fuzzBody(f, "/containers")
}

func FuzzProcessBody(f *testing.F) {
	f.Add([]byte(`{"path":"/missing","args":["a"],"env":["A=b"],"rlimits":{"nofile":7},"tty":{"window_size":{"columns":1}}}`))
	fuzzBody(f, "/containers/none/processes")
}

// fuzzBody sends bodies; whatever comes, the answer is JSON and the server lives.
func fuzzBody(f *testing.F, path string) {
	b := newFake()
	c, _, _ := serving(f, b)
	f.Fuzz(func(t *testing.T, body []byte) {
		code, answer := ask(t, c, "POST", path, string(body))
		if !json.Valid([]byte(answer)) {
			t.Errorf("%q: %d %q is not JSON", body, code, answer)
		}
		b.mu.Lock()
		clear(b.containers)
		b.mu.Unlock()
	})
}

// FuzzMessages sends what it likes over the control connection.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(`{"source":0,"data":"x"}{"signal":1}`))
	f.Add([]byte(`{"tty":{"window_size":{"columns":99999}}}`))
	f.Fuzz(func(t *testing.T, messages []byte) {
		p := &fakeProcess{id: "p", events: make(chan Event, 1<<16), closed: make(chan struct{})}
		a, b := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, b) }()
		s := &stream{id: "1", process: p, out: newSink(), err: newSink(), conn: a}
		s.listen(strings.NewReader(string(messages)))
		select {
		case <-p.closed:
		default:
			t.Error("the stream is left open")
		}
		b.Close()
	})
}
