package fsdev

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"
)

// maxXattr is the size of the largest attribute, and of the longest list of names.
const maxXattr = 64 << 10

// hidden tells whether the guest may not reach an attribute: mapped-xattr has its own there, and gives no others but a user's.
func (l *local) hidden(name string) bool {
	return l.Model == MappedXattr && strings.HasPrefix(name, xattrPrefix)
}

func (l *local) refused(name string) error {
	switch {
	case l.hidden(name):
		return unix.ENODATA
	case l.Model == MappedXattr && !strings.HasPrefix(name, "user."), l.Model == None && !strings.HasPrefix(name, "user."):
		return unix.EOPNOTSUPP
	}
	return nil
}

// GetXattr implements FS.
func (l *local) GetXattr(p Path, name string) (v []byte, err error) {
	if err := l.refused(name); err != nil {
		return nil, err
	}
	b := make([]byte, maxXattr)
	err = l.at(p, func(dir int, file string) error {
		n, err := unix.Lgetxattr(at(dir, file), name, b)
		v = b[:max(n, 0)]
		return err
	})
	return v, err
}

// ListXattr implements FS: names that end in a zero byte.
func (l *local) ListXattr(p Path) (out []byte, err error) {
	b := make([]byte, maxXattr)
	err = l.at(p, func(dir int, file string) error {
		n, err := unix.Llistxattr(at(dir, file), b)
		for _, name := range bytes.SplitAfter(b[:max(n, 0)], []byte{0}) {
			if len(name) > 1 && l.refused(string(name[:len(name)-1])) == nil {
				out = append(out, name...)
			}
		}
		return err
	})
	return out, err
}

// SetXattr implements FS.
func (l *local) SetXattr(p Path, name string, value []byte, flags int) error {
	if err := l.refused(name); err != nil {
		return unix.EACCES
	}
	return l.at(p, func(dir int, file string) error { return unix.Lsetxattr(at(dir, file), name, value, flags) })
}

// RemoveXattr implements FS.
func (l *local) RemoveXattr(p Path, name string) error {
	if err := l.refused(name); err != nil {
		return unix.EACCES
	}
	return l.at(p, func(dir int, file string) error { return unix.Lremovexattr(at(dir, file), name) })
}
