package p9

import (
	"golang.org/x/sys/unix"
)

// attrBasic are the attributes that getattr tells.
const attrBasic = 0x7ff

func (s *server) getattr(o *operation) error {
	n := o.request.u32()
	o.request.u64()
	f, done, err := s.use(o, n)
	if err != nil {
		return unix.ENOENT
	}
	defer done()
	st, err := s.fs.Stat(f.path)
	if err != nil {
		return err
	}
	q, err := s.qid(&st)
	if err != nil {
		return err
	}
	r := o.answer()
	r.u64(attrBasic)
	r.qid(q)
	for _, v := range []uint32{st.Mode, st.Uid, st.Gid} {
		r.u32(v)
	}
	for _, v := range []uint64{uint64(st.Nlink), st.Rdev, uint64(st.Size), uint64(s.iounit(int64(st.Blksize))), uint64(st.Blocks),
		uint64(st.Atim.Sec), uint64(st.Atim.Nsec), uint64(st.Mtim.Sec), uint64(st.Mtim.Nsec), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec), 0, 0, 0, 0} {
		r.u64(v)
	}
	return nil
}

// What setattr may change.
const (
	setMode, setUID, setGID, setSize, setAtime, setMtime, setCtime, setAtimeTo, setMtimeTo = 1, 2, 4, 8, 16, 32, 64, 128, 256
)

func (s *server) setattr(o *operation) error {
	n, valid, mode, uid, gid, size := o.request.u32(), o.request.u32(), o.request.u32(), o.request.u32(), o.request.u32(), o.request.u64()
	times := [4]uint64{o.request.u64(), o.request.u64(), o.request.u64(), o.request.u64()}
	f, done, err := s.use(o, n)
	if err != nil {
		return unix.EINVAL
	}
	defer done()
	if valid&setMode != 0 {
		if err := s.fs.Chmod(f.path, mode); err != nil {
			return err
		}
	}
	if valid&(setAtime|setMtime) != 0 {
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
		for i, b := range [][2]uint32{{setAtime, setAtimeTo}, {setMtime, setMtimeTo}} {
			switch {
			case valid&b[0] == 0:
			case valid&b[1] == 0:
				ts[i].Nsec = unix.UTIME_NOW
			default:
				ts[i] = unix.Timespec{Sec: int64(times[2*i]), Nsec: int64(times[2*i+1])}
			}
		}
		if err := s.fs.Utimes(f.path, ts); err != nil {
			return err
		}
	}
	if valid&(setUID|setGID) != 0 || valid&setCtime != 0 && valid&(setMode|setAtime|setMtime|setSize) == 0 { // a change of nothing changes the ctime
		u, g := -1, -1
		if valid&setUID != 0 {
			u = int(uid)
		}
		if valid&setGID != 0 {
			g = int(gid)
		}
		if err := s.fs.Chown(f.path, u, g); err != nil {
			return err
		}
	}
	if valid&setSize != 0 {
		if size > 1<<62 {
			return unix.EINVAL
		}
		return s.fs.Truncate(f.path, int64(size))
	}
	return nil
}

func (s *server) statfs(o *operation) error {
	f, done, err := s.use(o, o.request.u32())
	if err != nil {
		return unix.ENOENT
	}
	defer done()
	st, err := s.fs.Statfs(f.path)
	if err != nil {
		return err
	}
	factor := uint64(1) // so that a block is about what a message takes
	if b := uint64(st.Bsize); b > 0 {
		factor = max(1, uint64(s.iounit(0))/b)
	}
	r := o.answer()
	r.u32(uint32(st.Type))
	r.u32(uint32(uint64(st.Bsize) * factor))
	for _, v := range []uint64{st.Blocks / factor, st.Bfree / factor, st.Bavail / factor, st.Files, st.Ffree,
		uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32} {
		r.u64(v)
	}
	r.u32(uint32(st.Namelen))
	return nil
}

// xattrwalk makes a fid of which an attribute, or the list of their names, can be read.
func (s *server) xattrwalk(o *operation) error {
	n, fresh, name := o.request.u32(), o.request.u32(), o.request.str()
	f, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	defer done()
	var data []byte
	if name == "" {
		data, err = s.fs.ListXattr(f.path)
	} else {
		data, err = s.fs.GetXattr(f.path, name)
	}
	if err != nil {
		return err
	}
	if err := s.add(fresh, &fid{path: f.path, xattr: &xattr{data: data}}); err != nil {
		return err
	}
	o.answer().u64(uint64(len(data)))
	return nil
}

// xattrcreate makes a fid one to which an attribute is written; it is set when the fid ends.
func (s *server) xattrcreate(o *operation) error {
	const create, replace, largest = 1, 2, 64 << 10
	n, name, size, flags := o.request.u32(), o.request.str(), o.request.u64(), o.request.u32()
	switch {
	case o.short || flags&^(create|replace) != 0:
		return unix.EINVAL
	case size > largest:
		return unix.E2BIG
	}
	f, err := s.fid(n)
	if err != nil {
		return unix.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone || f.file != nil || f.xattr != nil {
		return unix.EINVAL
	}
	f.xattr = &xattr{name: name, write: true, flags: int(flags), data: make([]byte, size)}
	return nil
}
