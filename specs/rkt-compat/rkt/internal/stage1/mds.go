package stage1

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"photonbuild.invalid/compat/internal/metadata"
	"photonbuild.invalid/compat/kit/netns"
)

// prepareMetadata registers the pod with the metadata service and opens the way
// to it inside the pod's network namespace: on loopback there, so that no one
// else can reach it. Without registration it does nothing.
func (s *supervisor) prepareMetadata() (closer func(), err error) {
	if !s.options.Register {
		return func() {}, nil
	}
	r, err := s.registration()
	if err != nil {
		return nil, err
	}
	if err := metadata.Register(context.Background(), metadata.Socket, r); err != nil {
		return nil, err
	}
	var l net.Listener
	listen := func() (err error) { l, err = net.Listen("tcp4", "127.0.0.1:0"); return }
	if s.options.HostNet {
		err = listen()
	} else {
		err = netns.Do(s.box.ns("net"), listen)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata service in the pod: %w", err)
	}
	server := &http.Server{Handler: metadata.Proxy(metadata.Socket, r.Token), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go server.Serve(l)
	s.mdsURL = fmt.Sprintf("http://%s/%s", l.Addr(), r.Token)
	return func() { server.Close() }, nil
}

func (s *supervisor) registration() (metadata.Registration, error) {
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		return metadata.Registration{}, err
	}
	r := metadata.Registration{UUID: s.pod.UUID, Token: base64.RawURLEncoding.EncodeToString(token), Apps: map[string]metadata.App{}}
	var err error
	if r.Pod, err = json.Marshal(s.manifest); err != nil {
		return r, fmt.Errorf("pod manifest: %w", err)
	}
	for _, a := range s.manifest.Apps {
		m, _, err := s.pod.Image(a.Name.String())
		if err != nil {
			return r, err
		}
		data, err := json.Marshal(m)
		if err != nil {
			return r, fmt.Errorf("image manifest of app %s: %w", a.Name, err)
		}
		r.Apps[a.Name.String()] = metadata.App{ImageID: a.Image.ID.String(), Manifest: data}
	}
	return r, nil
}
