// Package fsdev holds the file systems of the host that a guest may reach: directories under one of four security models, and a synthetic one
// for tests. Paths are lists of names below the root: no name is empty, . or .., none holds a slash, and no symbolic link is ever followed on
// the way, so that nothing outside the root can be reached.
package fsdev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Path is a place below the root of a file system; the root's is empty.
type Path []string

// Join returns the path of a name in a directory.
func (p Path) Join(name string) Path { return append(p[:len(p):len(p)], name) }

// split returns the directory that a path is in, and its name there; "." for the root.
func (p Path) split() (dir Path, name string) {
	if len(p) == 0 {
		return p, "."
	}
	return p[:len(p)-1], p[len(p)-1]
}

// Within tells whether p is q or below it.
func (p Path) Within(q Path) bool { return len(p) >= len(q) && slices.Equal(p[:len(q)], q) }

// Owner is who a new file belongs to.
type Owner struct{ UID, GID uint32 }

// Dirent is an entry of a directory. Kind is that of unix.DT_….
type Dirent struct {
	Ino  uint64
	Kind uint8
	Name string
}

// FS is a file system. Its methods may be called from any goroutine, and block. Errors are unix.Errno.
type FS interface {
	// Stat does not follow symbolic links.
	Stat(p Path) (unix.Stat_t, error)
	Statfs(p Path) (unix.Statfs_t, error)
	Open(p Path, flags int) (File, error)
	Create(dir Path, name string, flags int, mode uint32, o Owner) (File, unix.Stat_t, error)
	Mkdir(dir Path, name string, mode uint32, o Owner) error
	Mknod(dir Path, name string, mode uint32, dev uint64, o Owner) error
	Symlink(dir Path, name, target string, o Owner) error
	Readlink(p Path) (string, error)
	Link(old Path, dir Path, name string) error
	Rename(oldDir Path, oldName string, newDir Path, newName string) error
	Unlink(dir Path, name string, isDir bool) error
	Chmod(p Path, mode uint32) error
	Chown(p Path, uid, gid int) error
	Truncate(p Path, size int64) error
	Utimes(p Path, ts []unix.Timespec) error
	GetXattr(p Path, name string) ([]byte, error)
	ListXattr(p Path) ([]byte, error)
	SetXattr(p Path, name string, value []byte, flags int) error
	RemoveXattr(p Path, name string) error
	Close()
}

// File is an open file or directory. Write is told when the guest is no longer interested by ctx.
type File interface {
	ReadV(iov [][]byte, off int64) (int, error)
	WriteV(ctx context.Context, iov [][]byte, off int64) (int, error)
	Sync(dataOnly bool) error
	// Entries reads the whole directory, with . and ...
	Entries() ([]Dirent, error)
	Close()
}

// Models of security: how owners, modes and special files of the guest are kept.
const (
	Passthrough = "passthrough"  // as they are; takes privileges
	MappedXattr = "mapped-xattr" // in extended attributes
	MappedFile  = "mapped-file"  // in files beside them
	None        = "none"         // as they are; what fails for want of privileges is not told
)

// What is done about file systems mounted below the root, whose files could have equal numbers.
const (
	MultiWarn   = "warn"
	MultiRemap  = "remap"
	MultiForbid = "forbid"
)

// Device is what -fsdev describes.
type Device struct {
	ID, Driver, Path, Model, Multi string
	ReadOnly, Immediate            bool
	FileMode, DirMode              uint32
}

const defaultFileMode, defaultDirMode, modeMask = 0o600, 0o700, 0o777

// options of the drivers.
var options = map[string][]string{
	"local": {"id", "fsdriver", "readonly", "security_model", "path", "writeout", "fmode", "dmode", "multidevs"},
	"synth": {"id", "fsdriver", "readonly"},
}

const modelHint = "\nValid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]"

// New reads the options of -fsdev; get returns the value of one, names lists those that were given.
func New(names []string, get func(name string) (string, bool)) (*Device, error) {
	d := &Device{Multi: MultiWarn, FileMode: defaultFileMode, DirMode: defaultDirMode}
	d.ID, _ = get("id")
	d.Driver, _ = get("fsdriver")
	switch {
	case d.ID == "":
		return nil, errors.New("fsdev: No id specified")
	case d.Driver == "":
		return nil, errors.New("fsdev: No fsdriver specified")
	case options[d.Driver] == nil:
		return nil, fmt.Errorf("fsdev: fsdriver %s not found", d.Driver)
	}
	for _, n := range names {
		if !slices.Contains(options[d.Driver], n) {
			return nil, fmt.Errorf("'%s' is invalid for fsdriver '%s'", n, d.Driver)
		}
	}
	if v, ok := get("readonly"); ok {
		switch v {
		case "on":
			d.ReadOnly = true
		case "off":
		default:
			return nil, errors.New("Parameter 'readonly' expects 'on' or 'off'")
		}
	}
	if d.Driver != "local" {
		return d, nil
	}
	v, _ := get("writeout")
	d.Immediate = v == "immediate"
	return d, d.readLocal(get)
}

func (d *Device) readLocal(get func(string) (string, bool)) error {
	model, ok := get("security_model")
	if !ok {
		return errors.New("security_model property not set" + modelHint)
	}
	if d.Model = model; model == "mapped" {
		d.Model = MappedXattr
	}
	if !slices.Contains([]string{Passthrough, MappedXattr, MappedFile, None}, d.Model) {
		return fmt.Errorf("invalid security_model property '%s'%s", model, modelHint)
	}
	if v, ok := get("multidevs"); ok {
		if d.Multi = v; v != MultiWarn && v != MultiRemap && v != MultiForbid {
			return fmt.Errorf("invalid multidevs property '%s'\nValid options are: multidevs=[remap|forbid|warn]", v)
		}
	}
	if d.Path, ok = get("path"); !ok {
		return errors.New("path property not set")
	}
	for name, at := range map[string]*uint32{"fmode": &d.FileMode, "dmode": &d.DirMode} {
		v, ok := get(name)
		if !ok {
			continue
		}
		if !strings.HasPrefix(d.Model, "mapped") {
			return fmt.Errorf("%s is only valid for mapped security modes", name)
		}
		n, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			return fmt.Errorf("Parameter '%s' expects a number", name)
		}
		*at = uint32(n & modeMask)
	}
	return nil
}

// Open opens the file system.
func (d *Device) Open() (FS, error) {
	if d.Driver == "synth" {
		return newSynth(), nil
	}
	return newLocal(d)
}
