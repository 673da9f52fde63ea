package gardentest

import (
	"io"
	"net/url"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// Container is one container of a server.
type Container struct {
	client *Client
	Handle string
}

func (c *Container) do(method string, in, out any, parts ...string) error {
	return c.client.Do(method, nil, in, out, append([]string{"containers", c.Handle}, parts...)...)
}

// Stop ends its processes.
func (c *Container) Stop(kill bool) error {
	return c.do("PUT", map[string]bool{"kill": kill}, nil, "stop")
}

// Destroy removes it.
func (c *Container) Destroy() error { return c.client.Destroy(c.Handle) }

// Info asks what it is.
func (c *Container) Info() (out api.ContainerInfo, err error) {
	return out, c.do("GET", nil, &out, "info")
}

// Metrics asks what it uses.
func (c *Container) Metrics() (out api.Metrics, err error) {
	return out, c.do("GET", nil, &out, "metrics")
}

// StreamIn unpacks a tar stream.
func (c *Container) StreamIn(path, user string, tar io.Reader) error {
	q := url.Values{"user": {user}, "destination": {path}}
	body, err := c.client.Stream("PUT", q, tar, "application/x-tar", "containers", c.Handle, "files")
	if err != nil {
		return err
	}
	return body.Close()
}

// StreamOut packs a file or folder.
func (c *Container) StreamOut(path, user string) (io.ReadCloser, error) {
	q := url.Values{"user": {user}, "source": {path}}
	return c.client.Stream("GET", q, nil, "", "containers", c.Handle, "files")
}

// CPULimits, MemoryLimits, DiskLimits and BandwidthLimits are those in force.
func (c *Container) CPULimits() (out api.CPULimits, err error) {
	return out, c.do("GET", nil, &out, "limits", "cpu")
}

// MemoryLimits are those in force.
func (c *Container) MemoryLimits() (out api.MemoryLimits, err error) {
	return out, c.do("GET", nil, &out, "limits", "memory")
}

// DiskLimits are those in force.
func (c *Container) DiskLimits() (out api.DiskLimits, err error) {
	return out, c.do("GET", nil, &out, "limits", "disk")
}

// BandwidthLimits are those in force.
func (c *Container) BandwidthLimits() (out api.BandwidthLimits, err error) {
	return out, c.do("GET", nil, &out, "limits", "bandwidth")
}

// NetIn maps a port.
func (c *Container) NetIn(want api.NetIn) (out api.NetIn, err error) {
	return out, c.do("POST", want, &out, "net", "in")
}

// NetOut allows outbound traffic, BulkNetOut by several rules.
func (c *Container) NetOut(rule api.NetOutRule) error { return c.do("POST", rule, nil, "net", "out") }

// BulkNetOut allows outbound traffic by several rules.
func (c *Container) BulkNetOut(rules []api.NetOutRule) error {
	return c.do("POST", rules, nil, "net", "out", "bulk")
}

// SetGraceTime sets how long it lives without a client.
func (c *Container) SetGraceTime(grace time.Duration) error {
	return c.do("PUT", grace, nil, "grace_time")
}

// Properties returns them all.
func (c *Container) Properties() (out map[string]string, err error) {
	return out, c.do("GET", nil, &out, "properties")
}

// Property returns one.
func (c *Container) Property(key string) (string, error) {
	var out struct {
		Value string `json:"value"`
	}
	err := c.do("GET", nil, &out, "properties", key)
	return out.Value, err
}

// SetProperty sets one.
func (c *Container) SetProperty(key, value string) error {
	return c.do("PUT", map[string]string{"value": value}, nil, "properties", key)
}

// RemoveProperty removes one.
func (c *Container) RemoveProperty(key string) error {
	return c.do("DELETE", nil, nil, "properties", key)
}
