// Package config reads rkt's configuration folders: credentials for servers
// and registries, and the data folder.
//
// It follows rkt's documentation (configuration.md, kinds "auth", "dockerAuth"
// and "paths", all of version "v1"): files *.json in auth.d and paths.d of the
// system folder, the local folder and the user's folder, each overriding the
// ones before it, domain by domain.
package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Config is what the folders say together.
type Config struct {
	DataDir string                // "" when nothing says
	headers map[string]string     // host[:port] → Authorization
	docker  map[string]Credential // registry → user and password
}

// Credential is a user's name and password.
type Credential struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Load reads the folders, the weakest first: system, local, user. Empty names
// and missing folders are left out.
func Load(dirs ...string) (*Config, error) {
	c := &Config{headers: map[string]string{}, docker: map[string]Credential{}}
	for _, d := range dirs {
		if d == "" {
			continue
		}
		if err := c.loadDir(d); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// layer is one folder; naming one thing twice in it is an error.
type layer struct{ seen map[string]string }

func (l *layer) once(key, file string) error {
	if first, ok := l.seen[key]; ok {
		return fmt.Errorf("%s is set here and in %s", key, first)
	}
	l.seen[key] = file
	return nil
}

func (c *Config) loadDir(dir string) error {
	l := &layer{seen: map[string]string{}}
	for sub, kinds := range map[string]map[string]loader{
		"auth.d":  {"auth": c.auth, "dockerAuth": c.dockerAuth},
		"paths.d": {"paths": c.paths},
	} {
		files, err := filepath.Glob(filepath.Join(dir, sub, "*.json"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := loadFile(f, kinds, l); err != nil {
				return fmt.Errorf("configuration file %s: %w", f, err)
			}
		}
	}
	return nil
}

type loader func(data []byte, file string, l *layer) error

func loadFile(file string, kinds map[string]loader, l *layer) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var head struct{ RktKind, RktVersion string }
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	load, ok := kinds[head.RktKind]
	switch {
	case head.RktKind == "":
		return errors.New("rktKind is missing")
	case !ok:
		return fmt.Errorf("unknown rktKind %q in this folder", head.RktKind)
	case head.RktVersion != "v1":
		return fmt.Errorf("rktVersion %q of kind %s is not supported (only v1)", head.RktVersion, head.RktKind)
	}
	return load(data, file, l)
}

func (c *Config) auth(data []byte, file string, l *layer) error {
	var f struct {
		Domains     []string
		Type        string
		Credentials json.RawMessage
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if len(f.Domains) == 0 {
		return errors.New("no domains")
	}
	header, err := authorization(f.Type, f.Credentials)
	if err != nil {
		return err
	}
	for _, d := range f.Domains {
		if err := l.once("domain "+d, file); err != nil {
			return err
		}
		c.headers[d] = header
	}
	return nil
}

func authorization(kind string, raw json.RawMessage) (string, error) {
	switch kind {
	case "basic":
		cred, err := credential(raw)
		if err != nil {
			return "", err
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.User+":"+cred.Password)), nil
	case "oauth":
		var t struct{ Token string }
		if err := json.Unmarshal(raw, &t); err != nil {
			return "", fmt.Errorf("credentials: %w", err)
		}
		if t.Token == "" {
			return "", errors.New("credentials: no token")
		}
		return "Bearer " + t.Token, nil
	case "":
		return "", errors.New("type is missing (basic or oauth)")
	case "aws":
		return "", errors.New("type aws is not supported by this implementation (hint: basic or oauth)")
	}
	return "", fmt.Errorf("unknown type %q (basic or oauth)", kind)
}

func credential(raw json.RawMessage) (Credential, error) {
	var c Credential
	if len(raw) == 0 {
		return c, errors.New("credentials are missing")
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("credentials: %w", err)
	}
	if c.User == "" || c.Password == "" {
		return c, errors.New("credentials: user and password must not be empty")
	}
	return c, nil
}

func (c *Config) dockerAuth(data []byte, file string, l *layer) error {
	var f struct {
		Registries  []string
		Credentials json.RawMessage
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if len(f.Registries) == 0 {
		return errors.New("no registries")
	}
	cred, err := credential(f.Credentials)
	if err != nil {
		return err
	}
	for _, r := range f.Registries {
		if err := l.once("registry "+r, file); err != nil {
			return err
		}
		c.docker[r] = cred
	}
	return nil
}

func (c *Config) paths(data []byte, file string, l *layer) error {
	var f struct{ Data string }
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if f.Data == "" {
		return nil
	}
	if !filepath.IsAbs(f.Data) {
		return fmt.Errorf("data %q is not an absolute path", f.Data)
	}
	c.DataDir = f.Data
	return l.once("data", file)
}

// Authorization is the header for a host (with its port if it has one), or "".
func (c *Config) Authorization(host string) string {
	if c == nil {
		return ""
	}
	return c.headers[host]
}

// Headers are the headers of all hosts, in the form that discovery takes.
func (c *Config) Headers() map[string]http.Header {
	out := map[string]http.Header{}
	if c != nil {
		for host, v := range c.headers {
			out[host] = http.Header{"Authorization": {v}}
		}
	}
	return out
}

// Resolve makes Config the keychain of registry clients.
func (c *Config) Resolve(r authn.Resource) (authn.Authenticator, error) {
	cred, ok := c.docker[r.RegistryStr()]
	if !ok {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: cred.User, Password: cred.Password}), nil
}
