package p9

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/fsdev"
)

// fid is what the guest has a number for. Requests that use it hold it for reading, those that change what it is for writing.
type fid struct {
	mu    sync.RWMutex
	path  fsdev.Path // guarded by the server's names lock
	uid   uint32     // of the user who has attached
	file  fsdev.File
	isDir bool
	list  []fsdev.Dirent // of a directory, as it was when it was read from the beginning
	xattr *xattr
	gone  bool
}

// xattr is an extended attribute, or the list of their names, that is read or written like a file.
type xattr struct {
	name  string // of one that is written
	write bool
	flags int
	data  []byte
	at    int // written so far
}

// server is a server of 9P2000.L for one guest.
type server struct {
	fs       fsdev.FS
	dev      *fsdev.Device
	attached func() error
	rootDev  uint64
	root     qid

	// names is held for reading by whoever uses paths, for writing by what renames.
	names sync.RWMutex

	mu sync.Mutex
	// Guarded by mu.
	fids    map[uint32]*fid
	active  map[uint16]*operation
	ctx     context.Context // of all requests
	cancel  context.CancelFunc
	msize   uint32
	mounted bool
	places  map[place]uint64
}

// place tells apart files of several file systems whose numbers could be equal.
type place struct{ dev, high uint64 }

const maxFids = 1 << 20

func newServer(fs fsdev.FS, dev *fsdev.Device) (*server, error) {
	s := &server{fs: fs, dev: dev, fids: map[uint32]*fid{}, active: map[uint16]*operation{}, msize: minMessage, places: map[place]uint64{}}
	s.renew()
	st, err := fs.Stat(nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("share path %s does not exist", dev.Path)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, fmt.Errorf("share path %s is not a directory", dev.Path)
	}
	s.rootDev = st.Dev
	s.root, err = s.qid(&st)
	return s, err
}

// qid makes an identifier.
func (s *server) qid(st *unix.Stat_t) (q qid, err error) {
	q = qid{version: uint32(st.Mtim.Sec) ^ uint32(st.Size<<8), path: st.Ino}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		q.typ = qtDir
	case unix.S_IFLNK:
		q.typ = qtSymlink
	}
	switch s.dev.Multi {
	case fsdev.MultiForbid:
		if st.Dev != s.rootDev {
			return q, unix.ENODEV
		}
	case fsdev.MultiRemap:
		q.path = s.remap(st.Dev, st.Ino)
	}
	return q, nil
}

// remap makes numbers that are different for different files, whatever file systems they are in.
func (s *server) remap(dev, ino uint64) uint64 {
	const bits = 48
	s.mu.Lock()
	defer s.mu.Unlock()
	p := place{dev, ino >> bits}
	n, ok := s.places[p]
	if !ok {
		n = uint64(len(s.places))
		s.places[p] = n
	}
	return n<<bits | ino&(1<<bits-1)
}

// giveUp gives up what can be given up, and what comes until renew.
func (s *server) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
}

func (s *server) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

// reset forgets all of the guest's numbers.
func (s *server) reset() {
	s.mu.Lock()
	old := s.fids
	s.fids = map[uint32]*fid{}
	s.mu.Unlock()
	for _, f := range old {
		_ = s.drop(f)
	}
}

func (s *server) takeMounted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.mounted
	s.mounted = false
	return was
}

// drop ends a fid: a file is closed, a new attribute set.
func (s *server) drop(f *fid) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil
	}
	f.gone = true
	if f.file != nil {
		f.file.Close()
	}
	if x := f.xattr; x != nil && x.write {
		s.names.RLock()
		defer s.names.RUnlock()
		if len(x.data) == 0 {
			return s.fs.RemoveXattr(f.path, x.name)
		}
		return s.fs.SetXattr(f.path, x.name, x.data[:x.at], x.flags)
	}
	return nil
}

// fid finds a number's fid.
func (s *server) fid(n uint32) (*fid, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fids[n]; f != nil {
		return f, nil
	}
	return nil, unix.ENOENT
}

// add gives a fid a number.
func (s *server) add(n uint32, f *fid) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fids[n] != nil:
		return unix.EINVAL
	case len(s.fids) >= maxFids:
		return unix.ENFILE
	}
	s.fids[n] = f
	return nil
}

// handler does a request; what it needs is in the operation, to which it adds the reply.
type handler struct {
	do     func(s *server, o *operation) error
	writes bool // changes the file system
}

var handlers = map[uint8]handler{
	tVersion: {(*server).version, false}, tAttach: {(*server).attach, false}, tFlush: {(*server).flush, false}, tWalk: {(*server).walk, false},
	tGetattr: {(*server).getattr, false}, tSetattr: {(*server).setattr, true}, tStatfs: {(*server).statfs, false}, tLopen: {(*server).lopen, false},
	tLcreate: {(*server).lcreate, true}, tSymlink: {(*server).symlink, true}, tMknod: {(*server).mknod, true}, tMkdir: {(*server).mkdir, true},
	tReadlink: {(*server).readlink, false}, tLink: {(*server).link, true}, tRename: {(*server).rename, true}, tRenameat: {(*server).renameat, true},
	tUnlinkat: {(*server).unlinkat, true}, tRemove: {(*server).remove, true}, tRead: {(*server).read, false}, tWrite: {(*server).write, true},
	tReaddir: {(*server).readdir, false}, tFsync: {(*server).fsync, false}, tClunk: {(*server).clunk, false}, tXattrwalk: {(*server).xattrwalk, false},
	tXattrcreate: {(*server).xattrcreate, true}, tLock: {(*server).lock, false}, tGetlock: {(*server).getlock, false},
}

// do does a request and writes the reply; it returns how long that is, 0 for one that was given up.
func (s *server) do(o *operation) int {
	s.begin(o)
	return s.finish(o, s.dispatch(o))
}

// begin makes a request one that can be given up.
func (s *server) begin(o *operation) {
	o.done = make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ctx, o.cancel = context.WithCancel(s.ctx)
	s.active[o.tag] = o
}

// finish writes the reply to a request that has ended in err.
func (s *server) finish(o *operation, err error) int {
	s.mu.Lock()
	if s.active[o.tag] == o {
		delete(s.active, o.tag)
	}
	s.mu.Unlock()
	given := o.ctx.Err() != nil
	o.cancel()
	if given && errors.Is(err, unix.EINTR) {
		return 0
	}
	typ := o.typ + 1
	if err != nil {
		typ, o.moved, o.answer().b = tLerror+1, 0, nil
		o.answer().u32(uint32(errno(err)))
	}
	n := headerBytes + len(o.reply.b)
	if int64(n+o.moved) > block.IovLen(o.in) {
		if typ, o.moved, o.reply.b = tLerror+1, 0, nil; block.IovLen(o.in) < headerBytes+4 {
			return 0
		}
		o.answer().u32(uint32(unix.EMSGSIZE))
		n = headerBytes + len(o.reply.b)
	}
	block.IovScatter(o.in, append(header(n+o.moved, typ, o.tag), o.reply.b...))
	return n + o.moved
}

// answer is the reply.
func (o *operation) answer() *reply { return &o.reply }

func (s *server) dispatch(o *operation) error {
	h, ok := handlers[o.typ]
	switch {
	case !ok:
		return unix.EOPNOTSUPP
	case h.writes && s.dev.ReadOnly:
		return unix.EROFS
	}
	return h.do(s, o)
}

// bad tells whether a request was shorter than it has to be.
func (o *operation) bad() error {
	if o.short {
		return unix.EINVAL
	}
	return nil
}

// version begins a session.
func (s *server) version(o *operation) error {
	size, v := o.request.u32(), o.request.str()
	if err := o.bad(); err != nil {
		return err
	}
	s.reset()
	if v != version2000L {
		v = "unknown"
	} else if size < minMessage {
		return unix.EMSGSIZE
	}
	s.mu.Lock()
	s.msize = max(size, minMessage)
	s.mu.Unlock()
	o.answer().u32(size)
	o.answer().str(v)
	return nil
}

// attach gives the guest the root.
func (s *server) attach(o *operation) error {
	n := o.request.u32()
	o.request.u32()
	o.request.str()
	o.request.str()
	uid := o.request.u32()
	if err := o.bad(); err != nil {
		return err
	}
	st, err := s.fs.Stat(nil)
	if err != nil {
		return unix.EINVAL
	}
	q, err := s.qid(&st)
	if err != nil {
		return unix.EINVAL
	}
	if err := s.add(n, &fid{uid: uid}); err != nil {
		return err
	}
	s.mu.Lock()
	first := !s.mounted
	s.mounted = true
	s.mu.Unlock()
	if first && s.attached != nil {
		if err := s.attached(); err != nil {
			s.takeMounted()
			s.mu.Lock()
			delete(s.fids, n)
			s.mu.Unlock()
			return err
		}
	}
	o.answer().qid(q)
	return nil
}

// flush gives a request up, or waits for it.
func (s *server) flush(o *operation) error {
	tag := o.request.u16()
	if err := o.bad(); err != nil {
		return err
	}
	s.mu.Lock()
	other := s.active[tag]
	s.mu.Unlock()
	if other == nil || other == o {
		return nil
	}
	other.cancel()
	select {
	case <-other.done:
		return nil
	case <-o.ctx.Done(): // two that wait for each other would do so forever
		return unix.EINTR
	}
}

// clunk ends a fid.
func (s *server) clunk(o *operation) error {
	n := o.request.u32()
	s.mu.Lock()
	f := s.fids[n]
	delete(s.fids, n)
	s.mu.Unlock()
	if f == nil || o.short {
		return unix.ENOENT
	}
	return s.drop(f)
}

// iounit is how much should be read at once from files of the host with blocks of a size.
func (s *server) iounit(blocks int64) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.msize - ioHeader
	if b := uint32(blocks); b > 0 && b <= n {
		n -= n % b
	}
	return n
}
