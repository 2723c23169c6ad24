package fsdev

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// node is a file or directory of the synthetic file system.
type node struct {
	name     string
	ino      uint64
	mode     uint32
	children []*node
	write    func(ctx context.Context, p []byte) (int, error)
}

// synth is a file system that is nowhere, made for tests of clients: its tree is the one that QEMU's tests expect.
type synth struct {
	root  *node
	count uint64
}

const (
	synthWalks, synthEntries = 16, 100
	synthMagic               = 0xabcd
)

func newSynth() FS {
	s := &synth{}
	s.root = s.add(nil, "", unix.S_IFDIR|0o700, nil)
	at := s.root
	for i := range synthWalks {
		at = s.add(at, fmt.Sprintf("WALK%d", i), unix.S_IFDIR|0o700, nil)
	}
	all := func(_ context.Context, p []byte) (int, error) { return len(p), nil }
	s.add(s.root, "LOPEN", unix.S_IFREG, nil)
	s.add(s.root, "WRITE", unix.S_IFREG, all)
	s.add(s.root, "FLUSH", unix.S_IFREG, func(ctx context.Context, p []byte) (int, error) {
		if len(p) > 0 && p[0] != 0 { // until it is given up
			<-ctx.Done()
			return 0, unix.EINTR
		}
		return 1, nil
	})
	dir := s.add(s.root, "ReadDirDir", unix.S_IFDIR|0o700, nil)
	for i := range synthEntries {
		s.add(dir, fmt.Sprintf("ReadDirFile%d", i), unix.S_IFREG, nil)
	}
	return s
}

func (s *synth) add(dir *node, name string, mode uint32, write func(context.Context, []byte) (int, error)) *node {
	s.count++
	n := &node{name: name, ino: s.count, mode: mode, write: write}
	if dir != nil {
		dir.children = append(dir.children, n)
	}
	return n
}

func (s *synth) find(p Path) (*node, error) {
	n := s.root
next:
	for _, name := range p {
		for _, c := range n.children {
			if c.name == name {
				n = c
				continue next
			}
		}
		return nil, unix.ENOENT
	}
	return n, nil
}

// Close implements FS.
func (s *synth) Close() {}

// Stat implements FS.
func (s *synth) Stat(p Path) (st unix.Stat_t, err error) {
	n, err := s.find(p)
	if err == nil {
		st.Ino, st.Mode, st.Nlink = n.ino, n.mode, 1
	}
	return st, err
}

// Statfs implements FS.
func (s *synth) Statfs(Path) (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: synthMagic, Bsize: 512, Files: s.count, Namelen: 255}, nil
}

// Open implements FS.
func (s *synth) Open(p Path, _ int) (File, error) {
	n, err := s.find(p)
	if err != nil {
		return nil, err
	}
	return synthFile{n}, nil
}

// The rest of FS: nothing can be changed.

func (*synth) Create(Path, string, int, uint32, Owner) (File, unix.Stat_t, error) {
	return nil, unix.Stat_t{}, unix.ENOSYS
}
func (*synth) Mkdir(Path, string, uint32, Owner) error         { return unix.EPERM }
func (*synth) Mknod(Path, string, uint32, uint64, Owner) error { return unix.EPERM }
func (*synth) Symlink(Path, string, string, Owner) error       { return unix.EPERM }
func (*synth) Readlink(Path) (string, error)                   { return "", unix.ENOSYS }
func (*synth) Link(Path, Path, string) error                   { return unix.EPERM }
func (*synth) Rename(Path, string, Path, string) error         { return unix.EPERM }
func (*synth) Unlink(Path, string, bool) error                 { return unix.EPERM }
func (*synth) Chmod(Path, uint32) error                        { return unix.EPERM }
func (*synth) Chown(Path, int, int) error                      { return unix.EPERM }
func (*synth) Truncate(Path, int64) error                      { return unix.ENOSYS }
func (*synth) Utimes(Path, []unix.Timespec) error              { return nil }
func (*synth) GetXattr(Path, string) ([]byte, error)           { return nil, unix.EOPNOTSUPP }
func (*synth) ListXattr(Path) ([]byte, error)                  { return nil, unix.EOPNOTSUPP }
func (*synth) SetXattr(Path, string, []byte, int) error        { return unix.EOPNOTSUPP }
func (*synth) RemoveXattr(Path, string) error                  { return unix.EOPNOTSUPP }

type synthFile struct{ n *node }

// ReadV implements File.
func (synthFile) ReadV([][]byte, int64) (int, error) { return 0, nil }

// WriteV implements File.
func (f synthFile) WriteV(ctx context.Context, iov [][]byte, _ int64) (total int, err error) {
	if f.n.write == nil {
		return 0, unix.EPERM
	}
	for _, b := range iov {
		n, err := f.n.write(ctx, b)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// Sync implements File.
func (synthFile) Sync(bool) error { return nil }

// Entries implements File.
func (f synthFile) Entries() (list []Dirent, err error) {
	for _, c := range slices.Backward(f.n.children) { // QEMU's order
		kind := uint8(unix.DT_REG)
		if c.mode&unix.S_IFMT == unix.S_IFDIR {
			kind = unix.DT_DIR
		}
		list = append(list, Dirent{c.ino, kind, c.name})
	}
	return append(list, Dirent{f.n.ino, unix.DT_DIR, "."}, Dirent{f.n.ino, unix.DT_DIR, ".."}), nil
}

// Close implements File.
func (synthFile) Close() {}
