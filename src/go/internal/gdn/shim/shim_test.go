package shim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listening(t *testing.T) (*hub, string, chan frame) {
	t.Helper()
	acts := make(chan frame, 10)
	h := newHub(func(f frame) { acts <- f })
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go h.serve(l)
	return h, path, acts
}

func next(t *testing.T, c *Conn) Message {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOutputSurvives: what is written while nobody listens is kept for the next listener, and
// for one only.
func TestOutputSurvives(t *testing.T) {
	h, path, acts := listening(t)
	h.emit(kindStdout, []byte("early"))
	h.emit(kindStderr, []byte("error"))
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	if m := next(t, c); string(m.Data) != "early" || m.Stderr {
		t.Errorf("%+v", m)
	}
	if m := next(t, c); string(m.Data) != "error" || !m.Stderr {
		t.Errorf("%+v", m)
	}
	if err := c.Stdin([]byte("in")); err != nil {
		t.Fatal(err)
	}
	if f := <-acts; f.kind != kindStdin || string(f.data) != "in" {
		t.Errorf("%+v", f)
	}
	c.Close()
	for len(func() []*peer { h.mu.Lock(); defer h.mu.Unlock(); return h.peers() }()) > 0 {
		time.Sleep(time.Millisecond)
	}
	h.emit(kindStdout, []byte("later"))
	h.finish(Exit{Status: 7})
	again, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if m := next(t, again); string(m.Data) != "later" {
		t.Errorf("%+v", m)
	}
	if m := next(t, again); m.Exit == nil || m.Exit.Status != 7 {
		t.Errorf("%+v", m)
	}
	if err := again.Delivered(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.delivered:
	case <-time.After(10 * time.Second):
		t.Error("the delivery was not noticed")
	}
}

// TestBacklogIsBounded: a process that talks to nobody does not fill the memory.
func TestBacklogIsBounded(t *testing.T) {
	h := newHub(nil)
	for range 100 {
		h.emit(kindStdout, make([]byte, 64<<10))
	}
	if h.kept > keep {
		t.Errorf("%d bytes are kept", h.kept)
	}
}

// TestSlowListener: a listener that does not read holds the process up, and no longer than it
// is there.
func TestSlowListener(t *testing.T) {
	h, path, _ := listening(t)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		for range 200 {
			h.emit(kindStdout, make([]byte, 64<<10))
		}
		close(done)
	}()
	select {
	case <-done:
		t.Error("12 MiB went to a listener that does not read")
	case <-time.After(300 * time.Millisecond):
	}
	c.Close()
	<-done
}

// TestASlowListenerGetsAll: the end of the process waits for what it has written.
func TestASlowListenerGetsAll(t *testing.T) {
	h, path, _ := listening(t)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, in := io.Pipe()
	drained := make(chan struct{})
	go func() { h.pump(kindStdout, out); close(drained) }()
	const size = 4 << 20
	go func() { _, _ = in.Write(make([]byte, size)); in.Close() }()
	go func() { h.flush(drained, 100*time.Millisecond); h.finish(Exit{}) }()
	time.Sleep(500 * time.Millisecond) // longer than anything silent is waited for
	got := 0
	for {
		m := next(t, c)
		if m.Exit != nil {
			break
		}
		got += len(m.Data)
	}
	if got != size {
		t.Errorf("%d of %d bytes came before the end", got, size)
	}
}

// TestWhoHoldsTheOutputIsNotWaitedFor: a process's end is told though others have its output open.
func TestWhoHoldsTheOutputIsNotWaitedFor(t *testing.T) {
	h := newHub(nil)
	done := make(chan struct{})
	go func() { h.flush(make(chan struct{}), 50*time.Millisecond); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
}

type gate struct {
	open chan struct{}
	bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(p)
}

func TestStdin(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	ended := make(chan struct{})
	s := newStdin(g, func() { close(ended) })
	s.write([]byte("a")) // does not wait for the process
	s.write([]byte("b"))
	s.close()
	s.write([]byte("after the end"))
	close(g.open)
	<-ended
	if g.String() != "ab" {
		t.Errorf("%q", g.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestBrokenStdin(t *testing.T) {
	ended := make(chan struct{})
	s := newStdin(brokenPipe{}, func() { close(ended) })
	s.write([]byte("a"))
	<-ended
	for range 100 {
		s.write(make([]byte, 1<<20)) // must not wait for ever
	}
}

// TestOOMScore: a process is no harder to kill than others, though its server is.
func TestOOMScore(t *testing.T) {
	read := func() string {
		data, _ := os.ReadFile("/proc/self/oom_score_adj")
		return strings.TrimSpace(string(data))
	}
	before := read()
	restore, err := oomScore(777)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "777" {
		t.Error(got)
	}
	restore()
	if got := read(); got != before && got != "777" { // lowering it again needs a capability
		t.Error(got)
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	for _, f := range []frame{{'a', nil}, {'b', []byte("data")}} {
		if err := writeFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a", "bdata"} {
		f, err := readFrame(&b)
		if err != nil || string(f.kind)+string(f.data) != want {
			t.Errorf("%+v %v", f, err)
		}
	}
	if _, err := readFrame(strings.NewReader("a\xff\xff\xff\xff")); err == nil || err == io.EOF {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}
