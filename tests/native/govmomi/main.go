// Command govmomi reads an appliance as VMware's own library does and prints, as JSON, what "govc import.spec" says of it,
// the virtual machine that it describes, and the environment that its guest gets.
//
//	govmomi FILE.ova < VALUES.json
//
// VALUES.json are the values that the owner fills in, by the keys of the specification.
package main

import (
	"encoding/json"
	"fmt"
	"html"
	"os"

	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/ovf/importer"
	"github.com/vmware/govmomi/vim25/types"
)

type result struct {
	Properties  map[string]string
	Unknown     []string
	Machine     machine
	Environment string
}

type machine struct {
	Processors int32
	MemoryMB   int64
	Family     string
	Devices    []string
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	values := map[string]string{}
	if err := json.NewDecoder(os.Stdin).Decode(&values); err != nil {
		return err
	}
	archive := &importer.TapeArchive{Path: path}
	spec, err := importer.Spec("*.ovf", archive, false, false)
	if err != nil {
		return err
	}
	out := result{Properties: map[string]string{}}
	environment := ovf.Env{Platform: &ovf.PlatformSection{}, Property: &ovf.PropertySection{}}
	for _, property := range spec.PropertyMapping {
		out.Properties[property.Key] = property.Value
		value := property.Value
		if filled, ok := values[property.Key]; ok {
			value = filled
		}
		delete(values, property.Key)
		entry := ovf.EnvProperty{Key: property.Key, Value: html.EscapeString(value)}
		environment.Property.Properties = append(environment.Property.Properties, entry)
	}
	for key := range values {
		out.Unknown = append(out.Unknown, key)
	}
	out.Environment = environment.MarshalManual()
	if out.Machine, err = describe(archive); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// describe is the hardware as vSphere is told it.
func describe(archive importer.Archive) (machine, error) {
	text, err := importer.ReadOvf("*.ovf", archive)
	if err != nil {
		return machine{}, err
	}
	envelope, err := importer.ReadEnvelope(text)
	if err != nil {
		return machine{}, err
	}
	config, err := envelope.ToConfigSpec()
	if err != nil {
		return machine{}, err
	}
	found := machine{Processors: config.NumCPUs, MemoryMB: config.MemoryMB, Family: config.Version}
	for _, change := range config.DeviceChange {
		found.Devices = append(found.Devices, fmt.Sprintf("%T", change.(*types.VirtualDeviceConfigSpec).Device))
	}
	return found, nil
}
