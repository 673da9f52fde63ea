package server

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/gardentest"
)

func clientOf(t *testing.T) (*fake, *gardentest.Client, *gardentest.Container) {
	t.Helper()
	f := newFake()
	_, socket, _ := serving(t, f)
	c := gardentest.New("unix", socket)
	made, err := c.Create(api.ContainerSpec{Handle: "h"})
	if err != nil {
		t.Fatal(err)
	}
	return f, c, made
}

// TestGardensClientRunsAProcess: the client's hijacker takes an answer that ends the connection for
// the end of it, so the header has to be that of a connection that goes on.
func TestGardensClientRunsAProcess(t *testing.T) {
	_, _, c := clientOf(t)
	var out, errs bytes.Buffer
	p, err := c.Run(api.ProcessSpec{Path: "cat"}, gardentest.IO{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &errs})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(); status != 3 || err != nil || out.String() != "hello" {
		t.Errorf("status %d, %v, stdout %q, stderr %q", status, err, out.String(), errs.String())
	}
}

func TestGardensClientAttaches(t *testing.T) {
	f, _, c := clientOf(t)
	run, err := f.Run(t.Context(), c.Handle, api.ProcessSpec{Path: "cat"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Attach(run.ID(), gardentest.IO{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetTTY(api.TTYSpec{WindowSize: &api.WindowSize{Columns: 3, Rows: 4}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(api.SignalTerminate); err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(); status != 143 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestGardensClientKnowsErrorsByTheirTypes(t *testing.T) {
	_, c, made := clientOf(t)
	_, run := made.Run(api.ProcessSpec{Path: "/missing"}, gardentest.IO{})
	_, attach := made.Attach("none", gardentest.IO{})
	for _, e := range []struct {
		err           error
		kind, message string
		status        int
	}{
		{c.Destroy("none"), api.TypeContainerNotFound, "unknown handle: none", 404},
		{attach, api.TypeProcessNotFound, "unknown process: none", 404},
		{run, api.TypeExecutableNotFound, "no such program", 500},
	} {
		got, ok := e.err.(*api.Error)
		if !ok || got.Type != e.kind || got.Message != e.message || got.Status != e.status {
			t.Errorf("%#v, want %s %q", e.err, e.kind, e.message)
		}
	}
}
