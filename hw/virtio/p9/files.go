package p9

import (
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/fsdev"
)

// lopen opens a fid's file.
func (s *server) lopen(o *operation) error {
	n, flags := o.request.u32(), o.request.u32()
	f, err := s.fid(n)
	if err != nil || o.short {
		return unix.ENOENT
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.names.RLock()
	defer s.names.RUnlock()
	if f.gone || f.file != nil || f.xattr != nil {
		return unix.EINVAL
	}
	st, err := s.fs.Stat(f.path)
	if err != nil {
		return err
	}
	q, err := s.qid(&st)
	if err != nil {
		return err
	}
	f.isDir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	if f.isDir {
		flags = unix.O_RDONLY | unix.O_DIRECTORY
	} else if s.dev.ReadOnly && flags&(unix.O_ACCMODE|unix.O_TRUNC) != 0 {
		return unix.EROFS
	}
	if f.file, err = s.fs.Open(f.path, int(flags)); err != nil {
		return err
	}
	o.answer().qid(q)
	o.answer().u32(s.iounit(int64(st.Blksize)))
	return nil
}

// lcreate makes a file in the directory of a fid, which becomes the new file.
func (s *server) lcreate(o *operation) error {
	n := o.request.u32()
	name, err := o.name()
	flags, mode, gid := o.request.u32(), o.request.u32(), o.request.u32()
	if err == nil {
		err = o.bad()
	}
	if err != nil {
		return err
	}
	f, err := s.fid(n)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone || f.file != nil || f.xattr != nil {
		return unix.EINVAL
	}
	s.names.RLock()
	h, st, err := s.fs.Create(f.path, name, int(flags), mode, f.owner(gid))
	s.names.RUnlock()
	if err != nil {
		return err
	}
	q, err := s.qid(&st)
	if err != nil {
		h.Close()
		return err
	}
	s.names.Lock()
	f.file, f.path = h, f.path.Join(name)
	s.names.Unlock()
	o.answer().qid(q)
	o.answer().u32(s.iounit(int64(st.Blksize)))
	return nil
}

// read reads from a file, straight into the guest's buffers, or from an attribute.
func (s *server) read(o *operation) error {
	n, off, count := o.request.u32(), o.request.u64(), int64(min(o.request.u32(), 1<<30))
	f, done, err := s.use(o, n)
	if err != nil {
		return unix.EINVAL
	}
	defer done()
	data := block.IovSlice(nil, o.in, readHeader, count)
	switch {
	case f.xattr != nil && !f.xattr.write:
		if off < uint64(len(f.xattr.data)) {
			o.moved = min(len(f.xattr.data)-int(off), int(block.IovLen(data)))
			block.IovScatter(data, f.xattr.data[off:int(off)+o.moved])
		}
	case f.file == nil || f.isDir || f.xattr != nil || off > 1<<62:
		return unix.EINVAL
	default:
		if o.moved, err = f.file.ReadV(data, int64(off)); err != nil {
			o.moved = 0
			return err
		}
	}
	o.answer().u32(uint32(o.moved))
	return nil
}

// write writes to a file, straight from the guest's buffers, or to an attribute.
func (s *server) write(o *operation) error {
	n, off, count := o.request.u32(), o.request.u64(), int64(min(o.request.u32(), 1<<30))
	data := block.IovSlice(nil, o.out, writeHeader, count)
	f, err := s.fid(n)
	if err != nil || o.short || off > 1<<62 {
		return unix.EINVAL
	}
	if done, err := f.writeXattr(off, data); done || err != nil {
		if err == nil {
			o.answer().u32(uint32(block.IovLen(data)))
		}
		return err
	}
	f, done, err := s.use(o, n)
	if err != nil {
		return unix.EINVAL
	}
	defer done()
	if f.file == nil || f.isDir {
		return unix.EINVAL
	}
	k, err := f.file.WriteV(o.ctx, data, int64(off))
	if err == nil {
		o.answer().u32(uint32(k))
	}
	return err
}

// writeXattr takes a part of a new attribute; done is false for a fid that is none.
func (f *fid) writeXattr(off uint64, data [][]byte) (done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.xattr
	switch n := block.IovLen(data); {
	case x == nil:
		return false, nil
	case !x.write || off > uint64(len(x.data)) || uint64(n) > uint64(len(x.data))-off:
		return true, unix.ENOSPC
	default:
		block.IovGather(x.data[off:off+uint64(n)], data)
		x.at = max(x.at, int(off)+int(n))
		return true, nil
	}
}

// readdir lists a directory from an offset on: the number of entries before it.
func (s *server) readdir(o *operation) error {
	n, off, count := o.request.u32(), o.request.u64(), int(min(o.request.u32(), 1<<30))
	f, err := s.fid(n)
	if err != nil || o.short {
		return unix.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone || f.file == nil || !f.isDir {
		return unix.EINVAL
	}
	if off == 0 || f.list == nil {
		if f.list, err = f.file.Entries(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	count = min(count, int(s.msize)-readHeader, int(block.IovLen(o.in))-readHeader)
	s.mu.Unlock()
	r := &reply{}
	for i := off; i < uint64(len(f.list)); i++ {
		e := &f.list[i]
		const fixed = qidBytes + 8 + 1 + 2
		if len(r.b)+fixed+len(e.Name) > count {
			break
		}
		r.qid(s.direntQID(e))
		r.u64(i + 1)
		r.u8(e.Kind)
		r.str(e.Name)
	}
	o.answer().u32(uint32(len(r.b)))
	o.reply.b = append(o.reply.b, r.b...)
	return nil
}

func (s *server) direntQID(e *fsdev.Dirent) qid {
	q := qid{path: e.Ino}
	switch e.Kind {
	case unix.DT_DIR:
		q.typ = qtDir
	case unix.DT_LNK:
		q.typ = qtSymlink
	}
	if s.dev.Multi == fsdev.MultiRemap {
		q.path = s.remap(s.rootDev, e.Ino)
	}
	return q
}

func (s *server) fsync(o *operation) error {
	n, data := o.request.u32(), o.request.u32()
	f, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	defer done()
	if f.file == nil {
		return unix.EINVAL
	}
	return f.file.Sync(data != 0)
}

// lock and getlock answer as a server does on which nobody else locks files.
func (s *server) lock(o *operation) error {
	n := o.request.u32()
	o.request.u8()
	flags := o.request.u32()
	o.request.u64()
	o.request.u64()
	o.request.u32()
	o.request.str()
	const block = 1
	if o.short || flags&^block != 0 {
		return unix.EINVAL
	}
	_, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	done()
	o.answer().u8(0)
	return nil
}

func (s *server) getlock(o *operation) error {
	n := o.request.u32()
	o.request.u8()
	start, length, proc, client := o.request.u64(), o.request.u64(), o.request.u32(), o.request.str()
	_, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	done()
	o.answer().u8(unix.F_UNLCK)
	o.answer().u64(start)
	o.answer().u64(length)
	o.answer().u32(proc)
	o.answer().str(client)
	return nil
}
