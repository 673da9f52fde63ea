package aci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Decode reads a manifest through the specification's library. The library
// dereferences a nil pointer for isolators without a value, and may have more
// such faults: whatever the input, Decode returns, with an error if need be.
func Decode(data []byte, into json.Unmarshaler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: the specification's library cannot read it (%v)", p)
		}
	}()
	var v any
	if json.Unmarshal(data, &v) == nil { // else the library says where it is wrong
		if err := checkIsolators(v); err != nil {
			return err
		}
	}
	return into.UnmarshalJSON(data)
}

// checkIsolators looks for isolators without name or value, anywhere: keys are
// compared as encoding/json does.
func checkIsolators(v any) error {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if err := checkIsolators(x); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, x := range v {
			if list, ok := x.([]any); ok && strings.EqualFold(key, "isolators") {
				for _, i := range list {
					if err := checkIsolator(i); err != nil {
						return err
					}
				}
			}
			if err := checkIsolators(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkIsolator(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errors.New("an isolator is not an object")
	}
	var name, value any
	for key, x := range m {
		switch {
		case strings.EqualFold(key, "name"):
			name = x
		case strings.EqualFold(key, "value"):
			value = x
		}
	}
	if name == nil {
		return errors.New("an isolator has no name")
	}
	if value == nil {
		return fmt.Errorf("isolator %v has no value", name)
	}
	return nil
}
