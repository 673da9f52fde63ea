package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
)

func TestDebugVars(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	end, err := serveDebug(&options{debugIP: "127.0.0.1", debugPort: uint16(port)})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/vars", port))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var vars struct{ Memstats struct{ Alloc uint64 } }
	if err := json.NewDecoder(answer.Body).Decode(&vars); err != nil || vars.Memstats.Alloc == 0 {
		t.Errorf("%+v %v", vars, err)
	}
	if end, err := serveDebug(&options{}); err != nil {
		t.Error(err)
	} else {
		end()
	}
}
