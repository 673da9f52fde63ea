package stage1

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"photonbuild.invalid/compat/internal/kit/netns"
	"photonbuild.invalid/compat/internal/rkt/metadata"
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
	key, err := metadata.Register(context.Background(), metadata.Socket, r)
	if err != nil {
		return nil, err
	}
	handler, err := metadata.ForPod(metadata.Socket, r, key)
	if err != nil {
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
	server := metadata.PodServer(handler)
	go server.Serve(metadata.Bounded(l))
	s.mdsURL = fmt.Sprintf("http://%s/%s", l.Addr(), r.Token)
	go s.warmUp()
	return func() { server.Close() }, nil
}

// warmUp asks once before an app does: a first answer takes longer than later
// ones, and clients are impatient.
func (s *supervisor) warmUp() {
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: true}}
	base := s.mdsURL + "/acMetadata/v1/pod/"
	if resp, err := c.Get(base + "manifest"); err == nil {
		resp.Body.Close()
	}
	if resp, err := c.PostForm(base+"hmac/sign", url.Values{"content": {""}}); err == nil {
		resp.Body.Close()
	}
}

// dial connects from inside the pod's network namespace.
func (s *supervisor) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	dial := func() (err error) { c, err = new(net.Dialer).DialContext(ctx, network, address); return }
	if s.options.HostNet {
		return c, dial()
	}
	err = netns.Do(s.box.ns("net"), dial)
	return c, err
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
