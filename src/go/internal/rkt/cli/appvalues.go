package cli

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/appc/spec/schema/types"
	"github.com/appc/spec/schema/types/resource"

	"photonbuild.invalid/compat/internal/rkt/podspec"
)

// isolatorFlag makes an isolator of an option's value.
type isolatorFlag struct {
	typ, usage string
	make       func(string) (types.Isolator, error)
}

var isolatorFlags = map[string]isolatorFlag{
	"memory":           {"QUANTITY", "memory limit for the preceding image (example: --memory=50M)", resourceFlag(types.ResourceMemoryName)},
	"cpu":              {"QUANTITY", "CPU limit for the preceding image (example: --cpu=500m)", resourceFlag(types.ResourceCPUName)},
	"cpu-shares":       {"NUMBER", "CPU shares of the preceding image", numberFlag(types.LinuxCPUSharesName)},
	"oom-score-adj":    {"NUMBER", "oom-score-adj isolator override", numberFlag(types.LinuxOOMScoreAdjName)},
	"oom-score-adjust": {"NUMBER", "the same as --oom-score-adj", numberFlag(types.LinuxOOMScoreAdjName)},
	"cap-retain":       {"CAP,...", "the same as --caps-retain", capsFlag(types.LinuxCapabilitiesRetainSetName)},
	"cap-remove":       {"CAP,...", "the same as --caps-remove", capsFlag(types.LinuxCapabilitiesRevokeSetName)},
	"caps-retain":      {"CAP,...", "capabilities to retain, all others are removed", capsFlag(types.LinuxCapabilitiesRetainSetName)},
	"caps-remove":      {"CAP,...", "capabilities to remove from the default set", capsFlag(types.LinuxCapabilitiesRevokeSetName)},
	"seccomp":          {"mode=MODE[,errno=E],CALL,...", "seccomp filter override", seccompFlag},
}

func resourceFlag(name types.ACIdentifier) func(string) (types.Isolator, error) {
	return func(v string) (types.Isolator, error) {
		q, err := resource.ParseQuantity(v)
		if err != nil || q.Sign() <= 0 {
			return types.Isolator{}, errors.New("it is not a quantity such as 500m, 64Mi or 2G")
		}
		return podspec.NewIsolator(name, map[string]string{"request": v, "limit": v})
	}
}

func numberFlag(name types.ACIdentifier) func(string) (types.Isolator, error) {
	return func(v string) (types.Isolator, error) {
		n, err := strconv.Atoi(v)
		if err != nil {
			return types.Isolator{}, errors.New("it is not a number")
		}
		return podspec.NewIsolator(name, n)
	}
}

func capsFlag(name types.ACIdentifier) func(string) (types.Isolator, error) {
	return func(v string) (types.Isolator, error) {
		var set []string
		for _, c := range strings.Split(v, ",") {
			c = strings.ToUpper(strings.TrimSpace(c))
			if !strings.HasPrefix(c, "CAP_") {
				c = "CAP_" + c
			}
			set = append(set, c)
		}
		return podspec.NewIsolator(name, map[string]any{"set": set})
	}
}

// seccompFlag reads mode=retain|remove, errno=E and names of system calls.
func seccompFlag(v string) (types.Isolator, error) {
	name, errno := types.ACIdentifier(""), ""
	var set []string
	for _, item := range strings.Split(v, ",") {
		key, value, pair := strings.Cut(item, "=")
		switch {
		case pair && key == "mode" && value == "retain":
			name = types.LinuxSeccompRetainSetName
		case pair && key == "mode" && value == "remove":
			name = types.LinuxSeccompRemoveSetName
		case pair && key == "errno":
			errno = value
		case pair || item == "":
			return types.Isolator{}, fmt.Errorf("%q is not mode=retain, mode=remove, errno=NAME or a system call", item)
		default:
			set = append(set, item)
		}
	}
	if name == "" || len(set) == 0 {
		return types.Isolator{}, errors.New("it needs mode=retain or mode=remove, and system calls")
	}
	return podspec.NewIsolator(name, map[string]any{"set": set, "errno": errno})
}

func addVariable(list *[]podspec.Variable, v string) error {
	name, value, ok := strings.Cut(v, "=")
	if !ok || !podspec.ValidName(name) {
		return fmt.Errorf("%q is not NAME=VALUE", v)
	}
	*list = append(*list, podspec.Variable{Name: name, Value: value})
	return nil
}

func addPair(to *map[string]string, v string) error {
	name, value, ok := strings.Cut(v, "=")
	if !ok || name == "" {
		return errors.New("it is not NAME=VALUE")
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[name] = value
	return nil
}

func gids(v string) ([]int, error) {
	var list []int
	for _, g := range strings.Split(v, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(g), 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%q is not a group ID", g)
		}
		list = append(list, int(n))
	}
	return list, nil
}

func boolean(v string) (bool, error) {
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, errors.New("it is neither true nor false")
	}
	return on, nil
}

func mode(to *string, v string, known ...string) error {
	if !slices.Contains(known, v) {
		if v == "tty" || v == "stream" {
			return fmt.Errorf("the mode is documented by rkt, but this implementation has only %s; --interactive gives a terminal", strings.Join(known, " and "))
		}
		return fmt.Errorf("unknown mode, the known ones are %s", strings.Join(known, " and "))
	}
	*to = v
	return nil
}

// parsePort reads NAME:[IP:]HOSTPORT.
func parsePort(v string) (types.ExposedPort, error) {
	var e types.ExposedPort
	name, rest, ok := strings.Cut(v, ":")
	if !ok {
		return e, errors.New("it is not NAME:[IP:]HOSTPORT")
	}
	acName, err := types.NewACName(name)
	if err != nil {
		return e, fmt.Errorf("port name %q: %w", name, err)
	}
	e.Name = *acName
	if ip, port, both := strings.Cut(rest, ":"); both {
		if e.HostIP = net.ParseIP(ip).To4(); e.HostIP == nil {
			return e, fmt.Errorf("%q is not an IPv4 address", ip)
		}
		rest = port
	}
	n, err := strconv.ParseUint(rest, 10, 16)
	if err != nil || n == 0 {
		return e, fmt.Errorf("%q is not a port of 1-65535", rest)
	}
	e.HostPort = uint(n)
	return e, nil
}
