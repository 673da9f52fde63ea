package server

import (
	"fmt"
	"net/http"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// property values travel as {"value": …}.
type propertyBody struct {
	Value *string `json:"value"`
}

func (s *Server) properties(_ http.ResponseWriter, r *http.Request) (any, error) {
	p, err := s.backend.Properties(r.PathValue("handle"))
	if p == nil {
		p = map[string]string{}
	}
	return p, err
}

func (s *Server) property(_ http.ResponseWriter, r *http.Request) (any, error) {
	value, err := s.backend.Property(r.PathValue("handle"), r.PathValue("key"))
	return propertyBody{&value}, err
}

func (s *Server) setProperty(w http.ResponseWriter, r *http.Request) (any, error) {
	var body propertyBody
	if err := readJSON(w, r, &body, false); err != nil {
		return nil, err
	}
	if body.Value == nil {
		return nil, api.BadRequest(`the body has no "value"`)
	}
	key := r.PathValue("key")
	if err := api.CheckProperty(key, *body.Value); err != nil {
		return nil, err
	}
	return nil, s.backend.SetProperty(r.PathValue("handle"), key, *body.Value)
}

func (s *Server) removeProperty(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.backend.RemoveProperty(r.PathValue("handle"), r.PathValue("key"))
}

func (s *Server) limits(r *http.Request) (api.Limits, error) {
	return s.backend.Limits(r.PathValue("handle"))
}

// bandwidth is never limited: both fields are left out, which is Garden's way to say so.
func (s *Server) bandwidth(_ http.ResponseWriter, r *http.Request) (any, error) {
	_, err := s.limits(r)
	return api.BandwidthLimits{}, err
}

func (s *Server) setBandwidth(w http.ResponseWriter, r *http.Request) (any, error) {
	var want api.BandwidthLimits
	if err := readJSON(w, r, &want, false); err != nil {
		return nil, err
	}
	if _, err := s.limits(r); err != nil {
		return nil, err
	}
	if want != (api.BandwidthLimits{}) {
		return nil, fmt.Errorf("bandwidth limits are not supported: the bandwidth of a container is unlimited")
	}
	return api.BandwidthLimits{}, nil
}

func (s *Server) cpu(_ http.ResponseWriter, r *http.Request) (any, error) {
	l, err := s.limits(r)
	return l.CPU, err
}

func (s *Server) setCPU(w http.ResponseWriter, r *http.Request) (any, error) {
	var want api.CPULimits
	if err := readJSON(w, r, &want, false); err != nil {
		return nil, err
	}
	if err := s.backend.SetCPU(r.Context(), r.PathValue("handle"), want); err != nil {
		return nil, err
	}
	return s.cpu(w, r)
}

func (s *Server) memory(_ http.ResponseWriter, r *http.Request) (any, error) {
	l, err := s.limits(r)
	return l.Memory, err
}

func (s *Server) setMemory(w http.ResponseWriter, r *http.Request) (any, error) {
	var want api.MemoryLimits
	if err := readJSON(w, r, &want, false); err != nil {
		return nil, err
	}
	if err := s.backend.SetMemory(r.Context(), r.PathValue("handle"), want); err != nil {
		return nil, err
	}
	return s.memory(w, r)
}

func (s *Server) disk(_ http.ResponseWriter, r *http.Request) (any, error) {
	l, err := s.limits(r)
	return l.Disk, err
}

func (s *Server) setDisk(w http.ResponseWriter, r *http.Request) (any, error) {
	var want api.DiskLimits
	if err := readJSON(w, r, &want, false); err != nil {
		return nil, err
	}
	if err := want.Check(); err != nil {
		return nil, err
	}
	if err := s.backend.SetDisk(r.Context(), r.PathValue("handle"), want); err != nil {
		return nil, err
	}
	return s.disk(w, r)
}

func (s *Server) netIn(w http.ResponseWriter, r *http.Request) (any, error) {
	var want api.NetIn
	if err := readJSON(w, r, &want, false); err != nil {
		return nil, err
	}
	if err := want.Check(); err != nil {
		return nil, err
	}
	return s.backend.NetIn(r.Context(), r.PathValue("handle"), want)
}

func (s *Server) netOut(w http.ResponseWriter, r *http.Request) (any, error) {
	var rule api.NetOutRule
	if err := readJSON(w, r, &rule, false); err != nil {
		return nil, err
	}
	return nil, s.addRules(r, []api.NetOutRule{rule})
}

func (s *Server) netOutBulk(w http.ResponseWriter, r *http.Request) (any, error) {
	var rules []api.NetOutRule
	if err := readJSON(w, r, &rules, false); err != nil {
		return nil, err
	}
	return nil, s.addRules(r, rules)
}

func (s *Server) addRules(r *http.Request, rules []api.NetOutRule) error {
	for i, rule := range rules {
		if err := rule.Check(); err != nil {
			return fmt.Errorf("rule %d: %w", i, err)
		}
	}
	return s.backend.NetOut(r.Context(), r.PathValue("handle"), rules)
}
