package shim

import (
	"bytes"
	"testing"
)

// FuzzFrames: whatever comes over a socket, a frame is bounded and comes back as it was written.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x02hi"))
	f.Add([]byte("x\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			before := len(data) - r.Len()
			got, err := readFrame(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := writeFrame(&again, got); err != nil || !bytes.Equal(again.Bytes(), data[before:len(data)-r.Len()]) {
				t.Fatalf("%q %v", again.Bytes(), err)
			}
		}
	})
}
