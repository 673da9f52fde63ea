package sidecar

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// fakeRunc notes its arguments and forgets a container as runc would.
func fakeRunc(t *testing.T) (bundle.Runc, string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$@\" >> " + log + "\nfor id; do :; done\nrm -rf " + dir + "/root/$id\n"
	path := filepath.Join(dir, "runc")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return bundle.Runc{Root: filepath.Join(dir, "root"), Path: path, Log: dir}, log
}

func TestClean(t *testing.T) {
	r, log := fakeRunc(t)
	folder := t.TempDir()
	own := filepath.Join(t.TempDir(), "own")
	s := Sidecar{ID: ID("c", "s"), Dir: filepath.Join(folder, "s"), Own: own, Image: "i", Cgroup: "/g"}
	for _, dir := range []string{s.RootFS(), s.Bundle(), filepath.Join(own, "upper"), filepath.Join(r.Root, s.ID)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if got := List("c", folder); len(got) != 1 || got[0] != s {
		t.Fatalf("%+v", got)
	}
	for range 2 { // it can be repeated
		if err := s.Clean(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{s.Dir, own, filepath.Join(r.Root, s.ID)} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	calls, _ := os.ReadFile(log)
	if strings.Count(string(calls), "delete --force c-s") != 1 {
		t.Errorf("runc was called so: %s", calls)
	}
}

// TestLoad: a record of something else is none.
func TestLoad(t *testing.T) {
	folder := t.TempDir()
	dir := filepath.Join(folder, "s")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", `{"id":"other-s","dir":"` + dir + `","own":"/etc"}`, `{"id":"c-s","dir":"/etc","own":"/etc"}`} {
		_ = os.WriteFile(filepath.Join(dir, recordFile), []byte(text), 0o600)
		if got := Load("c", dir); got != (Sidecar{ID: "c-s", Dir: dir}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if Container("c") != "c" || Container(ID("c", "s")) != "c" {
		t.Error("wrong containers of ids")
	}
}
