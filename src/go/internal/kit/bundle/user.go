package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// User is an account as a container's own files know it.
type User struct {
	UID, GID   uint32
	Groups     []uint32 // supplementary ones out of etc/group, without GID
	Home, Name string   // "/" and "" when the account is a bare number
}

// NoSuchAccount is the error for a name that the container's files do not have.
type NoSuchAccount struct {
	Kind, Name string // "user" or "group"
	File       string // below etc
}

func (e *NoSuchAccount) Error() string {
	return fmt.Sprintf("no %s %q in the container's etc/%s", e.Kind, e.Name, e.File)
}

// maxAccounts bounds etc/passwd and etc/group, which an image's author chose.
const maxAccounts = 4 << 20

// LookupUser resolves a user and a group by the etc/passwd and etc/group that
// lie inside rootfs. Names come first, then numbers, then (as the App Container
// specification's aci.md has it) an absolute path, whose owner is meant. An
// empty user is root; an empty group is the user's own, or 0. Symbolic links
// are resolved inside rootfs.
func LookupUser(rootfs, user, group string) (User, error) {
	root, err := os.OpenFile(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return User{}, fmt.Errorf("root filesystem: %w", err)
	}
	defer root.Close()
	if user == "" {
		user = "0"
	}
	u, err := findUser(root, user)
	if err != nil {
		return User{}, err
	}
	if group != "" {
		if u.GID, err = findGroup(root, group); err != nil {
			return User{}, err
		}
	}
	if u.Name != "" {
		if u.Groups, err = memberOf(root, u.Name, u.GID); err != nil {
			return User{}, err
		}
	}
	return u, nil
}

func findUser(root *os.File, user string) (User, error) {
	if strings.HasPrefix(user, "/") {
		uid, gid, err := ownerOf(root, user)
		return User{UID: uid, GID: gid, Home: "/"}, err
	}
	id, numeric := parseID(user)
	var byName, byNumber *User
	err := scan(root, "etc/passwd", func(f []string) {
		if len(f) < 6 {
			return
		}
		uid, ok := parseID(f[2])
		gid, ok2 := parseID(f[3])
		if !ok || !ok2 {
			return
		}
		u := &User{UID: uid, GID: gid, Home: f[5], Name: f[0]}
		if f[0] == user && byName == nil {
			byName = u
		} else if numeric && uid == id && byNumber == nil {
			byNumber = u
		}
	})
	switch {
	case err != nil:
		return User{}, err
	case byName != nil:
		return withHome(*byName), nil
	case byNumber != nil:
		return withHome(*byNumber), nil
	case numeric:
		return User{UID: id, Home: "/"}, nil
	}
	return User{}, &NoSuchAccount{"user", user, "passwd"}
}

func withHome(u User) User {
	if u.Home == "" {
		u.Home = "/"
	}
	return u
}

func findGroup(root *os.File, group string) (uint32, error) {
	if strings.HasPrefix(group, "/") {
		_, gid, err := ownerOf(root, group)
		return gid, err
	}
	id, numeric := parseID(group)
	found := false
	err := scan(root, "etc/group", func(f []string) {
		if len(f) < 3 || found || f[0] != group {
			return
		}
		if gid, ok := parseID(f[2]); ok {
			id, found = gid, true
		}
	})
	switch {
	case err != nil:
		return 0, err
	case found, numeric:
		return id, nil
	}
	return 0, &NoSuchAccount{"group", group, "group"}
}

// memberOf lists the groups that name the user as a member, sorted.
func memberOf(root *os.File, name string, primary uint32) ([]uint32, error) {
	var list []uint32
	err := scan(root, "etc/group", func(f []string) {
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			return
		}
		if gid, ok := parseID(f[2]); ok && gid != primary {
			list = append(list, gid)
		}
	})
	slices.Sort(list)
	return slices.Compact(list), err
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n < 1<<32-1
}

// scan hands the colon-separated fields of every line to f; a file that is not
// there has no lines.
func scan(root *os.File, name string, f func([]string)) error {
	data, err := readInside(root, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s of the container: %w", name, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxAccounts+1)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line != "" && line[0] != '#' {
			f(strings.Split(line, ":"))
		}
	}
	return nil
}

// openInside opens name as root inside the tree would, never leaving it.
func openInside(root *os.File, name string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(root.Fd()), name, &how)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

func readInside(root *os.File, name string) ([]byte, error) {
	f, err := openInside(root, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAccounts+1))
	if err == nil && len(data) > maxAccounts {
		err = fmt.Errorf("larger than %d bytes", maxAccounts)
	}
	return data, err
}

func ownerOf(root *os.File, name string) (uid, gid uint32, err error) {
	f, err := openInside(root, name, unix.O_PATH)
	if err != nil {
		return 0, 0, fmt.Errorf("owner of a file of the container: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("owner of %s in the container: %w", name, err)
	}
	return st.Uid, st.Gid, nil
}
