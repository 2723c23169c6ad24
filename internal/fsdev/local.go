package fsdev

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// local is a directory of the host.
type local struct {
	*Device
	root int // descriptor of the directory
	keep keeper
}

func newLocal(d *Device) (FS, error) {
	fd, err := unix.Open(d.Path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("failed to open '%s': %s", d.Path, text(err))
	}
	l := &local{Device: d, root: fd}
	switch d.Model {
	case MappedXattr:
		l.keep = xattrKeeper{}
	case MappedFile:
		l.keep = fileKeeper{}
	default:
		l.keep = plainKeeper{}
	}
	return l, nil
}

// text is the text of an error as the C library has it.
func text(err error) string {
	s := err.Error()
	if e := unix.Errno(0); errors.As(err, &e) {
		s = e.Error()
	}
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Close implements FS.
func (l *local) Close() { _ = unix.Close(l.root) }

// dir opens the directory at a path, for use with the …at calls. Symbolic links are not followed.
func (l *local) dir(p Path) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	name := "."
	if len(p) > 0 {
		name = strings.Join(p, "/")
	}
	fd, err = retryInt(func() (int, error) { return unix.Openat2(l.root, name, &how) })
	if err != unix.ENOSYS && err != unix.EPERM && err != unix.EAGAIN {
		if err == unix.ELOOP {
			err = unix.ENOTDIR
		}
		return fd, err
	}
	fd, err = unix.Openat(l.root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for _, n := range p {
		if err != nil {
			break
		}
		up := fd
		fd, err = subdir(up, n)
		_ = unix.Close(up)
	}
	return fd, err
}

// subdir opens a directory in a directory, for use with the …at calls.
func subdir(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func retryInt(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); err != unix.EINTR {
			return n, err
		}
	}
}

// at calls f with the directory of a path and its name there.
func (l *local) at(p Path, f func(fd int, name string) error) error {
	dir, name := p.split()
	return l.in(dir, name, f)
}

// in calls f with a directory and a name in it that the guest has chosen.
func (l *local) in(dir Path, name string, f func(fd int, name string) error) error {
	if l.Model == MappedFile && (name == metaDir || name == metaRoot) {
		return unix.EINVAL
	}
	fd, err := l.dir(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd, name)
}

// Stat implements FS.
func (l *local) Stat(p Path) (st unix.Stat_t, err error) {
	err = l.at(p, func(fd int, name string) error { return l.stat(fd, name, &st) })
	return st, err
}

func (l *local) stat(fd int, name string, st *unix.Stat_t) error {
	if err := unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return l.keep.load(fd, name, st)
}

// Statfs implements FS.
func (l *local) Statfs(p Path) (st unix.Statfs_t, err error) {
	err = l.at(p, func(dir int, name string) error {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fstatfs(fd, &st)
	})
	return st, err
}

// proc is a name for what a descriptor stands for.
func proc(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// allowed are the flags of open that a guest may choose. Blocking on pipes and the like is not among its choices.
const allowed = unix.O_ACCMODE | unix.O_APPEND | unix.O_TRUNC | unix.O_EXCL | unix.O_DIRECTORY | unix.O_DSYNC | unix.O_SYNC | unix.O_NOATIME | unix.O_LARGEFILE

func fixed(flags int) int {
	return flags&allowed | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	fd, err := retryInt(func() (int, error) { return unix.Openat(dir, name, flags, mode) })
	if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
		return openat(dir, name, flags&^unix.O_NOATIME, mode)
	}
	return fd, err
}

// Open implements FS.
func (l *local) Open(p Path, flags int) (f File, err error) {
	err = l.at(p, func(dir int, name string) error {
		if err := l.regular(dir, name); err != nil {
			return err
		}
		fd, err := openat(dir, name, fixed(flags)&^unix.O_EXCL, 0)
		if err == nil {
			f = &file{l: l, fd: fd}
		}
		return err
	})
	return f, err
}

// regular refuses what is neither a file nor a directory: opening a device of the host could do anything.
func (l *local) regular(dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return nil
	case unix.S_IFLNK:
		return unix.ELOOP
	}
	return unix.ENXIO
}

// Create implements FS.
func (l *local) Create(dir Path, name string, flags int, mode uint32, o Owner) (f File, st unix.Stat_t, err error) {
	err = l.in(dir, name, func(fd int, name string) error {
		h, err := openat(fd, name, fixed(flags)|unix.O_CREAT, l.fileMode(mode))
		if err != nil {
			return err
		}
		if err = l.keep.create(l, fd, name, mode&0o7777|unix.S_IFREG, 0, o); err == nil {
			err = l.stat(fd, name, &st)
		}
		if err != nil {
			_ = unix.Unlinkat(fd, name, 0)
			_ = unix.Close(h)
			return err
		}
		f = &file{l: l, fd: h}
		return nil
	})
	return f, st, err
}

func (l *local) mapped() bool { return l.Model == MappedXattr || l.Model == MappedFile }

// fileMode is the mode of a new file on the host.
func (l *local) fileMode(mode uint32) uint32 {
	if l.mapped() {
		return l.FileMode
	}
	return mode & 0o7777
}

// Mkdir implements FS.
func (l *local) Mkdir(dir Path, name string, mode uint32, o Owner) error {
	host := mode & 0o7777
	if l.mapped() {
		host = l.DirMode
	}
	return l.in(dir, name, func(fd int, name string) error {
		if err := unix.Mkdirat(fd, name, host); err != nil {
			return err
		}
		err := l.keep.create(l, fd, name, mode&0o7777|unix.S_IFDIR, 0, o)
		if err != nil {
			_ = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
		}
		return err
	})
}

// Mknod implements FS.
func (l *local) Mknod(dir Path, name string, mode uint32, dev uint64, o Owner) error {
	return l.in(dir, name, func(fd int, name string) error {
		host, d := mode, int(dev)
		if l.mapped() {
			host, d = l.FileMode|unix.S_IFREG, 0
		}
		if err := unix.Mknodat(fd, name, host, d); err != nil {
			return err
		}
		err := l.keep.create(l, fd, name, mode, dev, o)
		if err != nil {
			_ = unix.Unlinkat(fd, name, 0)
		}
		return err
	})
}

// Symlink implements FS: mapped models keep the target in an ordinary file.
func (l *local) Symlink(dir Path, name, target string, o Owner) error {
	return l.in(dir, name, func(fd int, name string) error {
		if !l.mapped() {
			if err := unix.Symlinkat(target, fd, name); err != nil {
				return err
			}
			err := unix.Fchownat(fd, name, int(int32(o.UID)), int(int32(o.GID)), unix.AT_SYMLINK_NOFOLLOW)
			if l.Model == None {
				err = nil
			}
			return err
		}
		h, err := openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, l.FileMode)
		if err != nil {
			return err
		}
		defer unix.Close(h)
		if _, err = unix.Write(h, []byte(target)); err == nil {
			err = l.keep.create(l, fd, name, unix.S_IFLNK|0o777, 0, o)
		}
		if err != nil {
			_ = unix.Unlinkat(fd, name, 0)
		}
		return err
	})
}

// Readlink implements FS.
func (l *local) Readlink(p Path) (target string, err error) {
	b := make([]byte, unix.PathMax)
	err = l.at(p, func(dir int, name string) error {
		if l.mapped() {
			fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			n, err := unix.Read(fd, b)
			if err == nil {
				target = string(b[:n])
			}
			return err
		}
		n, err := unix.Readlinkat(dir, name, b)
		if err == nil {
			target = string(b[:n])
		}
		return err
	})
	return target, err
}

// Link implements FS.
func (l *local) Link(old, dir Path, name string) error {
	return l.at(old, func(from int, oldName string) error {
		return l.in(dir, name, func(to int, name string) error {
			if err := unix.Linkat(from, oldName, to, name, 0); err != nil {
				return err
			}
			return l.keep.link(from, oldName, to, name)
		})
	})
}

// Rename implements FS.
func (l *local) Rename(oldDir Path, oldName string, newDir Path, newName string) error {
	return l.in(oldDir, oldName, func(from int, oldName string) error {
		return l.in(newDir, newName, func(to int, newName string) error {
			if err := unix.Renameat(from, oldName, to, newName); err != nil {
				return err
			}
			return l.keep.rename(from, oldName, to, newName)
		})
	})
}

// Unlink implements FS.
func (l *local) Unlink(dir Path, name string, isDir bool) error {
	return l.in(dir, name, func(fd int, name string) error {
		flags := 0
		if isDir {
			flags = unix.AT_REMOVEDIR
			l.keep.empty(fd, name)
		}
		err := unix.Unlinkat(fd, name, flags)
		if err == nil {
			l.keep.unlink(fd, name)
		}
		return err
	})
}

// Chmod implements FS.
func (l *local) Chmod(p Path, mode uint32) error {
	return l.at(p, func(dir int, name string) error {
		if l.mapped() {
			var st unix.Stat_t
			if err := l.stat(dir, name, &st); err != nil {
				return err
			}
			return l.keep.change(dir, name, attrs{mode: ptr(st.Mode&unix.S_IFMT | mode&0o7777)})
		}
		return chmod(dir, name, mode&0o7777)
	})
}

func ptr[T any](v T) *T { return &v }

// chmod changes the mode of a file that is no symbolic link.
func chmod(dir int, name string, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(proc(fd), mode)
}

// Chown implements FS; -1 leaves an owner as it is.
func (l *local) Chown(p Path, uid, gid int) error {
	return l.at(p, func(dir int, name string) error {
		if !l.mapped() {
			return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
		}
		var a attrs
		if uid >= 0 {
			a.uid = ptr(uint32(uid))
		}
		if gid >= 0 {
			a.gid = ptr(uint32(gid))
		}
		return l.keep.change(dir, name, a)
	})
}

// Truncate implements FS.
func (l *local) Truncate(p Path, size int64) error {
	return l.at(p, func(dir int, name string) error {
		if err := l.regular(dir, name); err != nil {
			return err
		}
		fd, err := openat(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Ftruncate(fd, size)
	})
}

// Utimes implements FS.
func (l *local) Utimes(p Path, ts []unix.Timespec) error {
	return l.at(p, func(dir int, name string) error { return unix.UtimesNanoAt(dir, name, ts, unix.AT_SYMLINK_NOFOLLOW) })
}

// file is an open file of the host.
type file struct {
	l  *local
	fd int
}

// ReadV implements File.
func (f *file) ReadV(iov [][]byte, off int64) (int, error) {
	return vector(iov, off, func(iov [][]byte, off int64) (int, error) { return unix.Preadv(f.fd, iov, off) })
}

// WriteV implements File.
func (f *file) WriteV(_ context.Context, iov [][]byte, off int64) (int, error) {
	n, err := vector(iov, off, func(iov [][]byte, off int64) (int, error) { return unix.Pwritev(f.fd, iov, off) })
	if err == nil && f.l.Immediate { // begin to write to the disk
		_ = unix.SyncFileRange(f.fd, off, int64(n), unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
	}
	return n, err
}

// maxVector is how many buffers a call of the host takes.
const maxVector = 1024

// vector moves all of iov, or as much as there is.
func vector(iov [][]byte, off int64, f func(iov [][]byte, off int64) (int, error)) (total int, err error) {
	for len(iov) > 0 {
		part := iov[:min(len(iov), maxVector)]
		want := 0
		for _, b := range part {
			want += len(b)
		}
		n, err := retryInt(func() (int, error) { return f(part, off) })
		if err != nil {
			if total > 0 {
				return total, nil
			}
			return 0, err
		}
		total, off, iov = total+n, off+int64(n), iov[len(part):]
		if n < want {
			break
		}
	}
	return total, nil
}

// Sync implements File.
func (f *file) Sync(dataOnly bool) error {
	if dataOnly {
		return unix.Fdatasync(f.fd)
	}
	return unix.Fsync(f.fd)
}

// Close implements File.
func (f *file) Close() { _ = unix.Close(f.fd) }

// Layout of a directory entry of the kernel (getdents64).
const (
	direntIno, direntLen, direntKind, direntName = 0, 16, 18, 19

	maxEntries = 1 << 20
)

// Entries implements File.
func (f *file) Entries() (list []Dirent, err error) {
	if _, err := unix.Seek(f.fd, 0, 0); err != nil {
		return nil, err
	}
	b := make([]byte, 64<<10)
	for len(list) < maxEntries {
		n, err := retryInt(func() (int, error) { return unix.Getdents(f.fd, b) })
		if err != nil || n == 0 {
			return list, err
		}
		for p := b[:n]; len(p) > direntName; {
			size := int(binary.NativeEndian.Uint16(p[direntLen:]))
			name, _, _ := strings.Cut(string(p[direntName:size]), "\x00")
			e := Dirent{binary.NativeEndian.Uint64(p[direntIno:]), p[direntKind], name}
			if f.l.mapped() && e.Kind != unix.DT_DIR {
				e.Kind = unix.DT_UNKNOWN // may be something else to the guest
			}
			if f.l.Model != MappedFile || name != metaDir && name != metaRoot {
				list = append(list, e)
			}
			p = p[size:]
		}
	}
	return list, nil
}
