package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// folder returns the folder name, symbolic links resolved inside the tree;
// what is missing is made.
func (a *applier) folder(name string) (*node, error) {
	return a.tree.walk(name, func(parent *node, base string) (*node, error) {
		old := parent.children[base]
		if old != nil && !(a.o.ReplaceLinks && old.gen != a.gen && old.h.Typeflag == tar.TypeSymlink) {
			return old, nil
		}
		if err := a.spendNode(); err != nil {
			return nil, err
		}
		n := implicitNode(a.gen)
		parent.children[base] = n
		return n, nil
	})
}

// MakeDir makes the folder name, root:root 0755, and those above it unless
// they are there.
func (t *Tree) MakeDir(name string) error {
	clean, err := CleanName(name)
	if err != nil {
		return err
	}
	_, err = (&applier{tree: t}).folder(clean)
	return err
}

// ReadFile returns what the file name holds, links followed inside the tree;
// ok is false when there is no such file or it is larger than limit.
func (t *Tree) ReadFile(name string, limit int64) (data []byte, ok bool) {
	for range maxSymlinks {
		n := t.lookup(name)
		if n == nil || n.isDir() {
			return nil, false
		}
		if n.h.Typeflag == tar.TypeSymlink {
			target := n.h.Linkname
			if !strings.HasPrefix(target, "/") {
				dir, _ := split(name)
				target = dir + "/" + target
			}
			name = strings.TrimPrefix(path.Clean("/"+target), "/")
			continue
		}
		if n.h.Size > limit {
			return nil, false
		}
		var buf bytes.Buffer
		if err := n.copyTo(context.Background(), &buf); err != nil {
			return nil, false
		}
		return buf.Bytes(), true
	}
	return nil, false
}

// Overlay puts what other holds over t; folders merge.
func (t *Tree) Overlay(other *Tree) { overlay(t.top, other.top) }

func overlay(under, over *node) {
	under.h, under.gen = over.h, over.gen
	for base, n := range over.children {
		old := under.children[base]
		if old == nil || !old.isDir() || !n.isDir() {
			under.children[base] = n
			continue
		}
		overlay(old, n)
	}
}

// lookup returns what name is, the last part not resolved, or nil.
func (t *Tree) lookup(name string) *node {
	if name == "." {
		return t.top
	}
	dir, base := split(name)
	parent, err := t.walk(dir, nil)
	if err != nil || parent == nil {
		return nil
	}
	return parent.children[base]
}

// walk resolves a folder name. Missing folders are made by mk, which is
// asked for every part, or end in nil.
func (t *Tree) walk(name string, mk func(*node, string) (*node, error)) (*node, error) {
	stack := []*node{t.top}
	todo := strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		at := stack[len(stack)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(len(stack)-1, 1)]
			continue
		}
		n := at.children[part]
		if mk != nil {
			var err error
			if n, err = mk(at, part); err != nil {
				return nil, err
			}
		}
		switch {
		case n == nil:
			return nil, nil
		case n.isDir():
			stack = append(stack, n)
		case n.h.Typeflag == tar.TypeSymlink:
			if links++; links > maxSymlinks {
				return nil, unix.ELOOP
			}
			if strings.HasPrefix(n.h.Linkname, "/") {
				stack = stack[:1]
			}
			todo = append(strings.Split(n.h.Linkname, "/"), todo...)
		default:
			return nil, unix.ENOTDIR
		}
	}
	return stack[len(stack)-1], nil
}
