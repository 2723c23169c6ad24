package fsdev

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// attrs are attributes of a file as the guest sees them; nil leaves one as it is.
type attrs struct {
	uid, gid, mode *uint32
	dev            *uint64
}

// attrs are those of a new file; an owner of all ones is not known.
func (o Owner) attrs(mode uint32, dev uint64) attrs {
	a := attrs{mode: &mode, dev: &dev}
	if o.UID != unknown {
		a.uid = &o.UID
	}
	if o.GID != unknown {
		a.gid = &o.GID
	}
	return a
}

const unknown = 1<<32 - 1

// keeper keeps attributes of files in a directory that the host does not keep.
type keeper interface {
	// load replaces what the host says.
	load(dir int, name string, st *unix.Stat_t) error
	// create sets those of a new file.
	create(l *local, dir int, name string, mode uint32, dev uint64, o Owner) error
	change(dir int, name string, a attrs) error
	// link, rename and unlink make what is kept follow the files, after it is done.
	link(oldDir int, oldName string, newDir int, newName string) error
	rename(oldDir int, oldName string, newDir int, newName string) error
	unlink(dir int, name string)
	// empty removes what is kept in a directory that is about to be removed, unless something is left of it.
	empty(dir int, name string)
}

// plainKeeper is for models in which the host keeps all.
type plainKeeper struct{}

func (plainKeeper) load(int, string, *unix.Stat_t) error  { return nil }
func (plainKeeper) change(int, string, attrs) error       { return nil }
func (plainKeeper) link(int, string, int, string) error   { return nil }
func (plainKeeper) rename(int, string, int, string) error { return nil }
func (plainKeeper) unlink(int, string)                    {}
func (plainKeeper) empty(int, string)                     {}
func (plainKeeper) create(l *local, dir int, name string, mode uint32, _ uint64, o Owner) error {
	err := unix.Fchownat(dir, name, int(int32(o.UID)), int(int32(o.GID)), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && l.Model != None {
		return err
	}
	if t := mode & unix.S_IFMT; t == unix.S_IFREG || t == unix.S_IFDIR { // past the umask
		return chmod(dir, name, mode&0o7777)
	}
	return nil
}

// Extended attributes of mapped-xattr: numbers in little endian.
const (
	xattrPrefix = "user.virtfs."
	xattrUID    = xattrPrefix + "uid"
	xattrGID    = xattrPrefix + "gid"
	xattrMode   = xattrPrefix + "mode"
	xattrDev    = xattrPrefix + "rdev"
)

// xattrKeeper is for mapped-xattr.
type xattrKeeper struct{}

// at is a name for a file in a directory that no symbolic link is followed to; it must not be followed itself.
func at(dir int, name string) string { return proc(dir) + "/" + name }

func (xattrKeeper) load(dir int, name string, st *unix.Stat_t) error {
	path := at(dir, name)
	get := func(name string, bytes int) (uint64, bool) {
		var b [8]byte
		n, err := unix.Lgetxattr(path, name, b[:bytes])
		return binary.LittleEndian.Uint64(b[:]), err == nil && n == bytes
	}
	if v, ok := get(xattrUID, 4); ok {
		st.Uid = uint32(v)
	}
	if v, ok := get(xattrGID, 4); ok {
		st.Gid = uint32(v)
	}
	if v, ok := get(xattrMode, 4); ok {
		st.Mode = uint32(v)
	}
	if v, ok := get(xattrDev, 8); ok {
		st.Rdev = v
	}
	return nil
}

func (k xattrKeeper) create(_ *local, dir int, name string, mode uint32, dev uint64, o Owner) error {
	return k.change(dir, name, o.attrs(mode, dev))
}

func (xattrKeeper) change(dir int, name string, a attrs) error {
	path := at(dir, name)
	for _, x := range []struct {
		name string
		v    *uint32
	}{{xattrUID, a.uid}, {xattrGID, a.gid}, {xattrMode, a.mode}} {
		if x.v != nil {
			if err := unix.Lsetxattr(path, x.name, binary.LittleEndian.AppendUint32(nil, *x.v), 0); err != nil {
				return err
			}
		}
	}
	if a.dev != nil && *a.dev != 0 {
		return unix.Lsetxattr(path, xattrDev, binary.LittleEndian.AppendUint64(nil, *a.dev), 0)
	}
	return nil
}

func (xattrKeeper) link(int, string, int, string) error   { return nil }
func (xattrKeeper) rename(int, string, int, string) error { return nil }
func (xattrKeeper) unlink(int, string)                    {}
func (xattrKeeper) empty(int, string)                     {}

// Files of mapped-file: one for each file, in a directory beside it; that of the root is in the root.
const (
	metaDir  = ".virtfs_metadata"
	metaRoot = ".virtfs_metadata_root"

	metaMode, metaDirMode, maxMeta = 0o600, 0o700, 4096

	metaUID   = "virtfs.uid"
	metaGID   = "virtfs.gid"
	metaPerms = "virtfs.mode"
	metaDev   = "virtfs.rdev"
)

// fileKeeper is for mapped-file.
type fileKeeper struct{}

// open opens the file with the attributes of a file.
func (fileKeeper) open(dir int, name string, flags int) (fd int, err error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	if name == "." {
		return openat(dir, metaRoot, flags, metaMode)
	}
	if flags&unix.O_CREAT != 0 {
		if err := unix.Mkdirat(dir, metaDir, metaDirMode); err != nil && err != unix.EEXIST {
			return -1, err
		}
	}
	m, err := subdir(dir, metaDir)
	if err != nil {
		return -1, err
	}
	defer unix.Close(m)
	return openat(m, name, flags, metaMode)
}

// read reads the attributes; none if there is no file.
func (k fileKeeper) read(dir int, name string) map[string]uint64 {
	out := map[string]uint64{}
	fd, err := k.open(dir, name, unix.O_RDONLY)
	if err != nil {
		return out
	}
	defer unix.Close(fd)
	b := make([]byte, maxMeta)
	n, _ := unix.Read(fd, b)
	for _, line := range strings.Split(string(b[:max(n, 0)]), "\n") {
		key, value, ok := strings.Cut(line, "=")
		if v, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64); ok && err == nil {
			out[key] = v
		}
	}
	return out
}

func (k fileKeeper) load(dir int, name string, st *unix.Stat_t) error {
	m := k.read(dir, name)
	for key, v := range m {
		switch key {
		case metaUID:
			st.Uid = uint32(v)
		case metaGID:
			st.Gid = uint32(v)
		case metaPerms:
			st.Mode = uint32(v)
		case metaDev:
			st.Rdev = v
		}
	}
	return nil
}

func (k fileKeeper) create(_ *local, dir int, name string, mode uint32, dev uint64, o Owner) error {
	return k.change(dir, name, o.attrs(mode, dev))
}

func (k fileKeeper) change(dir int, name string, a attrs) error {
	m := k.read(dir, name)
	for key, v := range map[string]*uint32{metaUID: a.uid, metaGID: a.gid, metaPerms: a.mode} {
		if v != nil {
			m[key] = uint64(*v)
		}
	}
	if a.dev != nil && *a.dev != 0 {
		m[metaDev] = *a.dev
	}
	fd, err := k.open(dir, name, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var b bytes.Buffer
	for _, key := range []string{metaUID, metaGID, metaPerms, metaDev} {
		if v, ok := m[key]; ok {
			fmt.Fprintf(&b, "%s=%d\n", key, v)
		}
	}
	_, err = unix.Write(fd, b.Bytes())
	return err
}

// meta opens the directories with the attributes of two files, the second one after it has been made.
func (fileKeeper) meta(oldDir, newDir int) (from, to int, err error) {
	if from, err = subdir(oldDir, metaDir); err != nil {
		return -1, -1, err
	}
	if err = unix.Mkdirat(newDir, metaDir, metaDirMode); err == nil || err == unix.EEXIST {
		to, err = subdir(newDir, metaDir)
	}
	if err != nil {
		_ = unix.Close(from)
	}
	return from, to, err
}

func (k fileKeeper) both(oldDir int, newDir int, f func(from, to int) error) error {
	from, to, err := k.meta(oldDir, newDir)
	if err == nil {
		err = f(from, to)
		_ = unix.Close(from)
		_ = unix.Close(to)
	}
	if err == unix.ENOENT { // nothing was kept
		return nil
	}
	return err
}

func (k fileKeeper) link(oldDir int, oldName string, newDir int, newName string) error {
	return k.both(oldDir, newDir, func(from, to int) error { return unix.Linkat(from, oldName, to, newName, 0) })
}

func (k fileKeeper) rename(oldDir int, oldName string, newDir int, newName string) error {
	kept := false
	err := k.both(oldDir, newDir, func(from, to int) error {
		err := unix.Renameat(from, oldName, to, newName)
		kept = err == nil
		return err
	})
	if err == nil && !kept { // what there may be is of a file that was replaced
		k.unlink(newDir, newName)
	}
	return err
}

func (fileKeeper) unlink(dir int, name string) {
	if m, err := subdir(dir, metaDir); err == nil {
		_ = unix.Unlinkat(m, name, 0)
		_ = unix.Close(m)
	}
}

func (fileKeeper) empty(dir int, name string) {
	if d, err := subdir(dir, name); err == nil {
		_ = unix.Unlinkat(d, metaDir, unix.AT_REMOVEDIR)
		_ = unix.Close(d)
	}
}
