package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
)

// podInfo is a pod as --format=json tells it.
type podInfo struct {
	Name      string              `json:"name"`
	State     pod.State           `json:"state"`
	Networks  []pod.Net           `json:"networks,omitempty"`
	AppNames  []string            `json:"app_names,omitempty"`
	Apps      map[string]*appInfo `json:"apps,omitempty"`
	Pid       int                 `json:"pid,omitempty"`
	CreatedAt *int64              `json:"created_at,omitempty"` // nanoseconds
	StartedAt *int64              `json:"started_at,omitempty"`

	created, started time.Time
	apps             schema.AppList
}

type appInfo struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	ImageID  string `json:"image_id"`
	ExitCode *int   `json:"exit_code,omitempty"`
}

// describe gathers what is known of a pod.
func describe(p *pod.Pod) (*podInfo, error) {
	state, err := p.State()
	if err != nil {
		return nil, err
	}
	i := &podInfo{Name: p.UUID, State: state, Networks: p.Nets(), Pid: p.Pid(), created: p.Created(), started: p.Started(), Apps: map[string]*appInfo{}}
	i.CreatedAt, i.StartedAt = nanoseconds(i.created), nanoseconds(i.started)
	m, err := p.Manifest()
	if err != nil {
		return i, nil // an embryo, or one whose preparation failed
	}
	i.apps = m.Apps
	for _, a := range m.Apps {
		name := a.Name.String()
		i.AppNames = append(i.AppNames, name)
		one := &appInfo{Name: name, ImageID: a.Image.ID.String(), State: string(state)}
		if code, ended := p.Status(name); ended {
			one.State, one.ExitCode = "exited", &code
		}
		i.Apps[name] = one
	}
	return i, nil
}

func nanoseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixNano()
	return &n
}

// newList is "rkt list" (Documentation/subcommands/list.md).
func newList(g *Global) *cobra.Command {
	var full, noLegend bool
	var format string
	c := &cobra.Command{
		Use:   "list",
		Short: "List pods",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dataDir()
			if err != nil {
				return err
			}
			pods, err := pod.Open(dir).List()
			if err != nil {
				return err
			}
			infos := []*podInfo{}
			for _, p := range pods {
				i, err := describe(p)
				if errors.Is(err, os.ErrNotExist) {
					continue // gone, or moved on and met again
				}
				if err != nil {
					return err
				}
				infos = append(infos, i)
			}
			if format != "" {
				return printJSON(c.OutOrStdout(), format, infos)
			}
			return printList(c.OutOrStdout(), infos, full, noLegend)
		},
	}
	c.Flags().BoolVar(&full, "full", false, "use long output format")
	c.Flags().BoolVar(&noLegend, "no-legend", false, "suppress a legend with the list")
	c.Flags().StringVar(&format, "format", "", "output format: json or json-pretty instead of a table")
	return c
}

func printJSON(w io.Writer, format string, v any) error {
	var data []byte
	var err error
	switch format {
	case "json":
		data, err = json.Marshal(v)
	case "json-pretty":
		data, err = json.MarshalIndent(v, "", "\t")
	default:
		return Errorf("unknown format %q", format).Hint("the formats are json and json-pretty")
	}
	if err == nil {
		_, err = fmt.Fprintln(w, string(data))
	}
	return err
}

func printList(w io.Writer, infos []*podInfo, full, noLegend bool) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, '\t', 0)
	legend := "UUID\tAPP\tIMAGE NAME\tSTATE\tCREATED\tSTARTED\tNETWORKS\n"
	if full {
		legend = "UUID\tAPP\tIMAGE NAME\tIMAGE ID\tSTATE\tCREATED\tSTARTED\tNETWORKS\n"
	}
	if !noLegend && len(infos) > 0 {
		fmt.Fprint(t, legend)
	}
	for _, i := range infos {
		rows := i.apps
		if len(rows) == 0 {
			rows = schema.AppList{{}}
		}
		for n, a := range rows {
			cells := []string{"", a.Name.String(), imageName(a)}
			if full {
				cells = append(cells, types.ShortHash(a.Image.ID.String()))
			}
			if n == 0 {
				cells[0] = i.Name[:8]
				if full {
					cells[0] = i.Name
				}
				cells = append(cells, string(i.State), when(i.created, full), when(i.started, full), networks(i.Networks))
			}
			fmt.Fprintln(t, strings.Join(cells, "\t"))
		}
	}
	return t.Flush()
}

func imageName(a schema.RuntimeApp) string {
	if a.Image.Name == nil {
		return ""
	}
	name := a.Image.Name.String()
	if v, ok := a.Image.Labels.Get("version"); ok {
		name += ":" + v
	}
	return name
}

const timeFormat = "2006-01-02 15:04:05.000 -0700 MST"

func when(t time.Time, full bool) string {
	switch {
	case t.IsZero():
		return ""
	case full:
		return t.Format(timeFormat)
	}
	return humanAge(time.Since(t))
}

func networks(list []pod.Net) string {
	var out []string
	for _, n := range list {
		for _, ip := range n.IPs {
			out = append(out, n.Name+":ip4="+ip)
		}
	}
	return strings.Join(out, ", ")
}
