package archive

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Keep leaves only what keep says is wanted; a folder also stays when
// something in it does. Names are clean, relative.
func (t *Tree) Keep(keep func(name string) bool) {
	prune(t.top, "", keep)
}

// prune removes the unwanted below n and says whether anything is left.
func prune(n *node, prefix string, keep func(string) bool) bool {
	for base, child := range n.children {
		name := prefix + base
		used := child.isDir() && prune(child, name+"/", keep)
		if !used && !keep(name) {
			delete(n.children, base)
		}
	}
	return len(n.children) > 0
}

// Names calls f for every name of the tree in sorted order.
func (t *Tree) Names(f func(name string, h *tar.Header)) {
	var visit func(n *node, prefix string)
	visit = func(n *node, prefix string) {
		for _, base := range slices.Sorted(maps.Keys(n.children)) {
			child := n.children[base]
			f(prefix+base, child.h)
			if child.isDir() {
				visit(child, prefix+base+"/")
			}
		}
	}
	visit(t.top, "")
}

// TarWriter is what WriteTar needs of *tar.Writer.
type TarWriter interface {
	io.Writer
	WriteHeader(*tar.Header) error
}

// WriteTar writes the tree as tar entries whose names begin with prefix ("" or
// a name with "/" at its end), folders before what is in them, sorted by name.
// The same tree gives the same bytes: user names, group names, access and
// change times are not written.
func (t *Tree) WriteTar(ctx context.Context, w TarWriter, prefix string) error {
	out := &treeWriter{ctx: ctx, w: w, first: map[*node]string{}}
	top := prefix
	if top == "" {
		top = "./"
	}
	if err := out.entry(t.top, top); err != nil {
		return err
	}
	return out.folder(t.top, prefix)
}

type treeWriter struct {
	ctx   context.Context
	w     TarWriter
	first map[*node]string
}

func (o *treeWriter) folder(n *node, prefix string) error {
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		child := n.children[base]
		name := prefix + base
		if child.isDir() {
			name += "/"
		}
		if err := o.entry(child, name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if child.isDir() {
			if err := o.folder(child, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *treeWriter) entry(n *node, name string) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	h := plainHeader(n.h, name)
	if first, ok := o.first[n]; ok {
		h.Typeflag, h.Linkname, h.Size, h.PAXRecords = tar.TypeLink, first, 0, nil
		return o.w.WriteHeader(h)
	}
	if !n.isDir() {
		o.first[n] = name
	}
	if h.Typeflag != tar.TypeReg {
		h.Size = 0
		return o.w.WriteHeader(h)
	}
	if err := o.w.WriteHeader(h); err != nil {
		return err
	}
	return n.copyTo(o.ctx, o.w)
}

// copyTo copies a file's data out of the archive that it came with.
func (n *node) copyTo(ctx context.Context, w io.Writer) error {
	tr := tar.NewReader(io.NewSectionReader(n.src, n.off, 1<<62))
	h, err := tr.Next()
	if err != nil {
		return fmt.Errorf("read the archive again: %w", err)
	}
	if h.Name != n.h.Name || h.Size != n.h.Size {
		return fmt.Errorf("the archive changed while it was in use (found %q)", h.Name)
	}
	_, err = io.Copy(w, ctxReader{ctx, tr})
	return err
}

// plainHeader is what WriteTar keeps of a header.
func plainHeader(old *tar.Header, name string) *tar.Header {
	h := &tar.Header{
		Typeflag: old.Typeflag, Name: name, Linkname: old.Linkname, Size: old.Size, Mode: old.Mode & 0o7777,
		Uid: old.Uid, Gid: old.Gid, ModTime: old.ModTime, Devmajor: old.Devmajor, Devminor: old.Devminor,
		Format: tar.FormatPAX,
	}
	switch h.Typeflag {
	//lint:ignore SA1019 old archives have RegA
	case tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		h.Typeflag = tar.TypeReg
	case tar.TypeChar, tar.TypeBlock:
	default:
		h.Devmajor, h.Devminor = 0, 0
	}
	if h.ModTime.IsZero() {
		h.ModTime = time.Unix(0, 0)
	}
	for k, v := range old.PAXRecords {
		if len(k) > len(paxXattr) && k[:len(paxXattr)] == paxXattr && keepXattr(k[len(paxXattr):]) {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[k] = v
		}
	}
	return h
}

func mtime(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }
