package cli

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/gdn/server"
)

func TestVersionSaysWhatThisIs(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		var out bytes.Buffer
		c := Command()
		c.SetOut(&out)
		c.SetArgs(args)
		if err := c.Execute(); err != nil || !strings.Contains(out.String(), "independent implementation") || !strings.Contains(out.String(), Version) {
			t.Errorf("%s: %v %s", args, err, out.String())
		}
	}
}

func TestFlagErrors(t *testing.T) {
	for _, args := range [][]string{
		{"--network-pool", "x"}, {"--deny-network", "fd00::/8"}, {"--dns-server", "x"}, {"--bind-ip", "localhost"},
		{"--external-ip", "x"}, {"--default-grace-time", "-1s"}, {"--unknown"}, {"argument"},
	} {
		c := Command()
		c.SetArgs(append([]string{"server"}, args...))
		if err := c.Execute(); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "s")
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if _, err := listenUnix(path); err == nil {
		t.Error("a socket in use was taken")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = listenUnix(path); err != nil {
		t.Errorf("a socket that nobody serves: %v", err)
	} else {
		l.Close()
	}
}

// TestCoveragePage: the documentation names every route, where it lies beside the sources.
func TestCoveragePage(t *testing.T) {
	page, err := os.ReadFile("../../../../../docs/use/garden.md")
	if err != nil {
		t.Skip("the documentation is not here: ", err)
	}
	for _, pattern := range server.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{handle}", ":handle", "{pid}", ":pid", "{stream}", ":streamid", "{key}", ":key").Replace(path)
		if !strings.Contains(string(page), "`"+method+" "+path+"`") {
			t.Errorf("%s %s is not on the coverage page", method, path)
		}
	}
}
