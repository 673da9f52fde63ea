package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Tree is the file tree that several archives give when they are unpacked one
// over the other, kept in memory without the contents of files. It serves to
// merge image layers, or an App Container image with its dependencies, into
// one archive without unpacking anything.
type Tree struct{ top *node }

// node is one file of the tree; several names may share it (hard links).
type node struct {
	h        *tar.Header
	src      io.ReaderAt // holds the archive that the header came from
	off      int64       // where the entry's headers begin in src
	children map[string]*node
	gen      int // the archive that made it, for whiteouts
}

func (n *node) isDir() bool { return n.h.Typeflag == tar.TypeDir }

// NewTree returns a tree that has only a top folder, root:root 0755.
func NewTree() *Tree { return &Tree{top: implicitNode(0)} }

func implicitNode(gen int) *node {
	return &node{h: &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}, children: map[string]*node{}, gen: gen}
}

// ApplyOptions of Tree.Apply.
type ApplyOptions struct {
	// Whiteouts: names that begin with ".wh." remove names of earlier
	// archives, as the OCI image specification has it.
	Whiteouts bool
	// Map gives an entry its name in the tree, ok = false leaves it out; the
	// name is clean. It is used for the targets of hard links too. nil keeps
	// names.
	Map func(name string) (string, bool)
	// ReplaceLinks: a symbolic link of an earlier archive is never followed, it
	// gives way to a folder (App Container specification, ace.md, "Filesystem
	// Setup").
	ReplaceLinks bool
	// NoDuplicates makes two entries of one name in this archive an error.
	NoDuplicates bool
	// MaxBytes bounds what the files of this archive hold together, as in
	// Options; a sparse file counts with its holes. 0 means no limit.
	MaxBytes int64
}

// maxNames bounds the memory that the names of one archive take, in bytes.
const maxNames = 512 << 20

// Apply puts the plain tar archive src over the tree. src is read again by
// WriteTar and must stay open and unchanged until then.
func (t *Tree) Apply(ctx context.Context, src io.ReaderAt, size int64, gen int, o ApplyOptions) error {
	c := &counter{r: io.NewSectionReader(src, 0, size)}
	tr := tar.NewReader(c)
	a := &applier{tree: t, src: src, gen: gen, o: o, seen: map[string]bool{}}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			return fmt.Errorf("read the archive: %w", truncated(err))
		}
		off := (c.n + 511) &^ 511
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", truncated(err))
		}
		if err := a.spend(h); err != nil {
			return &EntryError{h.Name, err}
		}
		if err := a.entry(h, off); err != nil {
			return &EntryError{h.Name, err}
		}
	}
}

// counter counts what is read; it hides Seek, so that every byte is counted.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type applier struct {
	tree  *Tree
	src   io.ReaderAt
	gen   int
	o     ApplyOptions
	seen  map[string]bool
	used  int64 // of MaxBytes
	names int64 // of maxNames
}

// spendNode charges a folder that the archive names only as part of others.
func (a *applier) spendNode() error {
	if a.names += entryCost; a.names > maxNames {
		return fmt.Errorf("names and headers %w of %d bytes", ErrTooLarge, maxNames)
	}
	return nil
}

// spend charges an entry before anything is done with it.
func (a *applier) spend(h *tar.Header) error {
	a.names += int64(len(h.Name)+len(h.Linkname)) + entryCost
	if a.names > maxNames {
		return fmt.Errorf("names and headers %w of %d bytes", ErrTooLarge, maxNames)
	}
	return charge(&a.used, entryCost+h.Size, a.o.MaxBytes)
}

func (a *applier) mapName(name string) (string, bool, error) {
	clean, err := CleanName(name)
	if err != nil || a.o.Map == nil {
		return clean, true, err
	}
	mapped, ok := a.o.Map(clean)
	return mapped, ok, nil
}

func (a *applier) entry(h *tar.Header, off int64) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, ok, err := a.mapName(h.Name)
	if err != nil || !ok {
		return err
	}
	if a.o.NoDuplicates && a.seen[name] {
		return errors.New("is in the archive twice")
	}
	a.seen[name] = true
	n := &node{h: h, src: a.src, off: off, gen: a.gen}
	if name == "." {
		if !n.isDir() {
			return errors.New("the top of the archive is not a folder")
		}
		n.children = a.tree.top.children
		a.tree.top = n
		return nil
	}
	dir, base := split(name)
	parent, err := a.folder(dir)
	if err != nil {
		return fmt.Errorf("folder %q: %w", dir, err)
	}
	if a.o.Whiteouts && strings.HasPrefix(base, whPrefix) {
		return a.whiteout(parent, base)
	}
	return a.place(parent, base, n)
}

func (a *applier) place(parent *node, base string, n *node) error {
	if len(n.h.Linkname) > maxName {
		return fmt.Errorf("link to a name of %d bytes, at most %d are allowed", len(n.h.Linkname), maxName)
	}
	switch n.h.Typeflag {
	//lint:ignore SA1019 old archives have RegA
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse,
		tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	case tar.TypeDir:
		n.children = map[string]*node{}
		if old := parent.children[base]; old != nil && old.isDir() {
			n.children = old.children
		}
	case tar.TypeLink:
		target, err := a.linkTarget(n.h.Linkname)
		if err != nil {
			return err
		}
		n = target
	default:
		return fmt.Errorf("unsupported entry type %q", n.h.Typeflag)
	}
	parent.children[base] = n
	return nil
}

func (a *applier) linkTarget(name string) (*node, error) {
	clean, ok, err := a.mapName(name)
	if err != nil {
		return nil, fmt.Errorf("hard link target %q: %w", name, err)
	}
	var n *node
	if ok {
		n = a.tree.lookup(clean)
	}
	switch {
	case n == nil:
		return nil, fmt.Errorf("hard link to %q, which is not in the archive before it", name)
	case n.isDir():
		return nil, fmt.Errorf("hard link to the folder %q", name)
	}
	return n, nil
}

// whiteout removes what earlier archives put there; what this archive put
// there stays, whichever comes first.
func (a *applier) whiteout(parent *node, base string) error {
	if base == whOpaque {
		for name, n := range parent.children {
			a.hide(parent, name, n)
		}
		return nil
	}
	if strings.HasPrefix(base, whMeta) {
		return nil
	}
	name := strings.TrimPrefix(base, whPrefix)
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of no name")
	}
	if n := parent.children[name]; n != nil {
		a.hide(parent, name, n)
	}
	return nil
}

// hide removes the parts of parent/name that are older than this archive.
func (a *applier) hide(parent *node, name string, n *node) {
	if n.isDir() {
		for sub, child := range n.children {
			a.hide(n, sub, child)
		}
	}
	if n.gen != a.gen && len(n.children) == 0 {
		delete(parent.children, name)
	}
}
