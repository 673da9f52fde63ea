// Package gardentest is a client of Garden's API that speaks HTTP as Garden's own Go client does:
// a connection for each request (net/http without keep-alive), and for processes the persistent
// connection of net/http/httputil, hijacked after the answer's header. It serves tests.
package gardentest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// dialTime is how long a connection may take to come about.
const dialTime = 2 * time.Second

// Client talks to one server.
type Client struct {
	dial func() (net.Conn, error)
	http *http.Client
}

// New makes a client of the server at an address, as net.Dial takes both.
func New(network, address string) *Client {
	dial := func() (net.Conn, error) { return net.DialTimeout(network, address, dialTime) }
	transport := &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	return &Client{dial: dial, http: &http.Client{Transport: transport}}
}

// request makes a request; parts are those of the path, q may be nil.
func request(method string, q url.Values, body io.Reader, contentType string, parts ...string) (*http.Request, error) {
	path := ""
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	r, err := http.NewRequest(method, "http://api"+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.URL.RawQuery = q.Encode()
	return r, nil
}

// Stream sends a body and returns that of the answer. An answer beyond 2xx is an error.
func (c *Client) Stream(method string, q url.Values, body io.Reader, contentType string, parts ...string) (io.ReadCloser, error) {
	r, err := request(method, q, body, contentType, parts...)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		return nil, answerError(answer)
	}
	return answer.Body, nil
}

// Do exchanges JSON; in and out may be nil.
func (c *Client) Do(method string, q url.Values, in, out any, parts ...string) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, contentType = bytes.NewReader(data), "application/json"
	}
	answer, err := c.Stream(method, q, body, contentType, parts...)
	if err != nil {
		return err
	}
	defer answer.Close()
	if out == nil {
		out = &struct{}{}
	}
	return json.NewDecoder(answer).Decode(out)
}

// Hijack sends a request and takes the connection over after the header of the answer.
func (c *Client) Hijack(method string, in any, parts ...string) (net.Conn, *bufio.Reader, error) {
	body := new(bytes.Buffer)
	if in != nil {
		if err := json.NewEncoder(body).Encode(in); err != nil {
			return nil, nil, err
		}
	}
	r, err := request(method, nil, body, "application/json", parts...)
	if err != nil {
		return nil, nil, err
	}
	conn, err := c.dial()
	if err != nil {
		return nil, nil, err
	}
	//lint:ignore SA1019 what Garden's client is written with
	client := httputil.NewClientConn(conn, nil)
	answer, err := client.Do(r)
	if err == nil && answer.StatusCode/100 != 2 {
		err = answerError(answer)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	taken, reader := client.Hijack()
	return taken, reader, nil
}

// answerError is the error in an answer, with the text that Garden's client gives it.
func answerError(answer *http.Response) error {
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("status %d, and no body: %w", answer.StatusCode, err)
	}
	e := &api.Error{Status: answer.StatusCode}
	if err := json.Unmarshal(data, e); err != nil {
		return fmt.Errorf("status %d with a body that is no error of Garden's: %q", answer.StatusCode, data)
	}
	switch e.Type {
	case api.TypeContainerNotFound:
		e.Message = "unknown handle: " + e.Handle
	case api.TypeProcessNotFound:
		e.Message = "unknown process: " + e.ProcessID
	}
	return e
}

// TypeOf is the name of an error's type, "" for one without.
func TypeOf(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Type
	}
	return ""
}

// Ping asks whether the server is there.
func (c *Client) Ping() error { return c.Do("GET", nil, nil, nil, "ping") }

// Capacity asks for the machine's.
func (c *Client) Capacity() (out api.Capacity, err error) {
	return out, c.Do("GET", nil, nil, &out, "capacity")
}

// Create makes a container.
func (c *Client) Create(spec api.ContainerSpec) (*Container, error) {
	var out struct {
		Handle string `json:"handle"`
	}
	if err := c.Do("POST", nil, spec, &out, "containers"); err != nil {
		return nil, err
	}
	return c.Container(out.Handle), nil
}

// Destroy removes one.
func (c *Client) Destroy(handle string) error {
	return c.Do("DELETE", nil, nil, nil, "containers", handle)
}

// List returns the handles of the containers with all these properties.
func (c *Client) List(properties map[string]string) ([]string, error) {
	q := url.Values{}
	for key, value := range properties {
		q.Set(key, value)
	}
	var out struct{ Handles []string }
	err := c.Do("GET", q, nil, &out, "containers")
	return out.Handles, err
}

// BulkInfo and BulkMetrics ask about several containers at once.
func (c *Client) BulkInfo(handles ...string) (map[string]api.ContainerInfoEntry, error) {
	out := map[string]api.ContainerInfoEntry{}
	return out, c.Do("GET", url.Values{"handles": {strings.Join(handles, ",")}}, nil, &out, "containers", "bulk_info")
}

// BulkMetrics asks for the metrics of several containers.
func (c *Client) BulkMetrics(handles ...string) (map[string]api.ContainerMetricsEntry, error) {
	out := map[string]api.ContainerMetricsEntry{}
	return out, c.Do("GET", url.Values{"handles": {strings.Join(handles, ",")}}, nil, &out, "containers", "bulk_metrics")
}

// Container is a container by its handle, which nobody is asked for.
func (c *Client) Container(handle string) *Container { return &Container{c, handle} }
