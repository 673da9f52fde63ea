package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/store"
)

// imageField is one column of "rkt image list".
type imageField struct {
	name, title string
	text        func(i *store.Info, o *imageList) string
	compare     func(a, b *store.Info) int
}

var imageFields = []imageField{
	{"id", "ID", func(i *store.Info, o *imageList) string {
		if o.full {
			return i.ID
		}
		return i.ID[:len("sha512-")+12]
	}, func(a, b *store.Info) int { return strings.Compare(a.ID, b.ID) }},
	{"name", "NAME", func(i *store.Info, _ *imageList) string { return versioned(i) },
		func(a, b *store.Info) int { return strings.Compare(versioned(a), versioned(b)) }},
	{"importtime", "IMPORT TIME", func(i *store.Info, o *imageList) string { return o.when(i.Imported) },
		func(a, b *store.Info) int { return a.Imported.Compare(b.Imported) }},
	{"lastused", "LAST USED", func(i *store.Info, o *imageList) string { return o.when(i.LastUsed) },
		func(a, b *store.Info) int { return a.LastUsed.Compare(b.LastUsed) }},
	{"size", "SIZE", func(i *store.Info, o *imageList) string {
		if o.full {
			return strconv.FormatInt(i.Size, 10)
		}
		return humanSize(i.Size)
	}, func(a, b *store.Info) int { return int(min(1, max(-1, a.Size-b.Size))) }},
	{"latest", "LATEST", func(i *store.Info, _ *imageList) string { return strconv.FormatBool(i.Latest) },
		func(a, b *store.Info) int {
			return strings.Compare(strconv.FormatBool(a.Latest), strconv.FormatBool(b.Latest))
		}},
}

func versioned(i *store.Info) string {
	if v, ok := i.Manifest.Labels.Get("version"); ok {
		return i.Name + ":" + v
	}
	return i.Name
}

// imageList is "rkt image list" with its options.
type imageList struct {
	fields, sort, order, format string
	full, noLegend              bool
	now                         time.Time
}

func newImageList(g *Global) *cobra.Command {
	o := &imageList{now: time.Now()}
	c := &cobra.Command{
		Use:   "list",
		Short: "List images in the local store",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			list, err := s.List()
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), list)
		},
	}
	var names []string
	for _, f := range imageFields {
		names = append(names, f.name)
	}
	c.Flags().StringVar(&o.fields, "fields", strings.Join(names, ","), "comma-separated list of fields to display")
	c.Flags().BoolVar(&o.full, "full", false, "use long output format")
	c.Flags().BoolVar(&o.noLegend, "no-legend", false, "suppress a legend with the list")
	c.Flags().StringVar(&o.order, "order", "asc", "choose the sorting order if at least one sort field is provided: asc or desc")
	c.Flags().StringVar(&o.sort, "sort", "importtime", "sort the output according to the provided comma-separated list of fields")
	c.Flags().StringVar(&o.format, "format", "", "output format: json or json-pretty instead of a table")
	return c
}

// pickFields reads a list of field names.
func pickFields(option, list string) ([]imageField, error) {
	var out []imageField
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(imageFields, func(f imageField) bool { return f.name == strings.TrimSpace(name) })
		if i < 0 {
			var known []string
			for _, f := range imageFields {
				known = append(known, f.name)
			}
			return nil, Errorf("--%s: unknown field %q", option, name).Hint("the fields are %s", strings.Join(known, ", "))
		}
		out = append(out, imageFields[i])
	}
	return out, nil
}

func (o *imageList) print(w io.Writer, list []*store.Info) error {
	fields, err := pickFields("fields", o.fields)
	if err != nil {
		return err
	}
	if err := o.sorted(list); err != nil {
		return err
	}
	switch o.format {
	case "json", "json-pretty":
		return o.json(w, list)
	case "":
	default:
		return Errorf("--format: unknown format %q", o.format).Hint("json or json-pretty")
	}
	tw := tabwriter.NewWriter(w, 0, 8, 1, '\t', 0)
	row := func(cell func(imageField) string) {
		var cells []string
		for _, f := range fields {
			cells = append(cells, cell(f))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if !o.noLegend {
		row(func(f imageField) string { return f.title })
	}
	for _, i := range list {
		row(func(f imageField) string { return f.text(i, o) })
	}
	return tw.Flush()
}

func (o *imageList) sorted(list []*store.Info) error {
	fields, err := pickFields("sort", o.sort)
	if err != nil {
		return err
	}
	if o.order != "asc" && o.order != "desc" {
		return Errorf("--order: unknown order %q", o.order).Hint("asc or desc")
	}
	slices.SortStableFunc(list, func(a, b *store.Info) int {
		for _, f := range fields {
			if c := f.compare(a, b); c != 0 {
				if o.order == "desc" {
					return -c
				}
				return c
			}
		}
		return 0
	})
	return nil
}

func (o *imageList) json(w io.Writer, list []*store.Info) error {
	type entry struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Imported int64  `json:"import_time"`    // nanoseconds since 1970
		LastUsed int64  `json:"last_used_time"` // nanoseconds since 1970
		Size     int64  `json:"size"`
		Latest   bool   `json:"latest"`
	}
	out := []entry{}
	for _, i := range list {
		out = append(out, entry{i.ID, versioned(i), i.Imported.UnixNano(), i.LastUsed.UnixNano(), i.Size, i.Latest})
	}
	enc := json.NewEncoder(w)
	if o.format == "json-pretty" {
		enc.SetIndent("", "\t")
	}
	return enc.Encode(out)
}

func (o *imageList) when(t time.Time) string {
	if o.full {
		return t.Local().Format("2006-01-02 15:04:05.999 -0700 MST")
	}
	return humanAge(o.now.Sub(t))
}

// humanAge is "6 days ago".
func humanAge(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {30 * 24 * time.Hour, "month"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / u.of; {
		case n == 1:
			return "1 " + u.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, u.name)
		}
	}
	return "just now"
}

// humanSize is "12MiB".
func humanSize(n int64) string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift {
			return fmt.Sprintf("%d%s", (n+1<<(u.shift-1))>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
