package p9

import (
	"strings"

	"golang.org/x/sys/unix"

	"goemu/internal/fsdev"
)

// name reads a name for something new or something in a directory.
func (o *operation) name() (string, error) {
	n := o.request.str()
	switch {
	case o.short:
		return "", unix.EINVAL
	case n == "" || strings.ContainsAny(n, "/\x00"):
		return "", unix.ENOENT
	case n == "." || n == "..":
		return "", unix.EEXIST
	}
	return n, nil
}

// use finds the fid of a request that has been read, and holds it, and the names, for reading.
func (s *server) use(o *operation, n uint32) (f *fid, done func(), err error) {
	if err = o.bad(); err != nil {
		return nil, nil, err
	}
	if f, err = s.fid(n); err != nil {
		return nil, nil, err
	}
	f.mu.RLock()
	s.names.RLock()
	done = func() {
		s.names.RUnlock()
		f.mu.RUnlock()
	}
	if f.gone {
		done()
		return nil, nil, unix.ENOENT
	}
	return f, done, nil
}

// walk goes from a fid's place along names; as far as it gets is told.
func (s *server) walk(o *operation) error {
	n, fresh, count := o.request.u32(), o.request.u32(), int(o.request.u16())
	if o.short || count > maxWalk {
		return unix.EINVAL
	}
	f, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	path, uid, busy := append(fsdev.Path(nil), f.path...), f.uid, f.file != nil || f.xattr != nil
	qids, err := s.follow(o, &path, count)
	done()
	switch {
	case busy:
		return unix.EINVAL
	case err != nil && len(qids) == 0:
		return err
	case len(qids) < count:
	case n == fresh:
		s.names.Lock()
		f.path = path
		s.names.Unlock()
	default:
		if err := s.add(fresh, &fid{path: path, uid: uid}); err != nil {
			return err
		}
	}
	o.answer().u16(uint16(len(qids)))
	for _, q := range qids {
		o.answer().qid(q)
	}
	return nil
}

// follow goes along the names of a walk and returns the identifiers of what is there, as far as it gets.
func (s *server) follow(o *operation, at *fsdev.Path, count int) (qids []qid, err error) {
	path := *at
	for range count {
		name := o.request.str()
		var st unix.Stat_t
		switch {
		case o.short:
			err = unix.EINVAL
		case name == "" || strings.ContainsAny(name, "/\x00"):
			err = unix.ENOENT
		case name == "..":
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
			st, err = s.fs.Stat(path)
		case name == ".":
			st, err = s.fs.Stat(path)
		default:
			path = path.Join(name)
			st, err = s.fs.Stat(path)
		}
		var q qid
		if err == nil {
			q, err = s.qid(&st)
		}
		if err != nil {
			break
		}
		qids = append(qids, q)
	}
	*at = path
	return qids, err
}

// create makes something new in the directory of a fid, by do, and replies with its identifier. err is what was wrong with the name.
func (s *server) create(o *operation, n uint32, name string, err error, do func(dir *fid) error) error {
	if err == nil {
		err = o.bad()
	}
	if err != nil {
		return err
	}
	f, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	defer done()
	if err := do(f); err != nil {
		return err
	}
	st, err := s.fs.Stat(f.path.Join(name))
	if err != nil {
		return err
	}
	q, err := s.qid(&st)
	if err == nil {
		o.answer().qid(q)
	}
	return err
}

// owner is who something new belongs to: to the user who has attached, and to a group that the request names.
func (f *fid) owner(gid uint32) fsdev.Owner { return fsdev.Owner{UID: f.uid, GID: gid} }

func (s *server) mkdir(o *operation) error {
	n := o.request.u32()
	name, err := o.name()
	mode, gid := o.request.u32(), o.request.u32()
	return s.create(o, n, name, err, func(f *fid) error { return s.fs.Mkdir(f.path, name, mode, f.owner(gid)) })
}

func (s *server) mknod(o *operation) error {
	n := o.request.u32()
	name, err := o.name()
	mode, major, minor, gid := o.request.u32(), o.request.u32(), o.request.u32(), o.request.u32()
	return s.create(o, n, name, err, func(f *fid) error { return s.fs.Mknod(f.path, name, mode, unix.Mkdev(major, minor), f.owner(gid)) })
}

func (s *server) symlink(o *operation) error {
	n := o.request.u32()
	name, err := o.name()
	target, gid := o.request.str(), o.request.u32()
	return s.create(o, n, name, err, func(f *fid) error { return s.fs.Symlink(f.path, name, target, f.owner(gid)) })
}

func (s *server) readlink(o *operation) error {
	f, done, err := s.use(o, o.request.u32())
	if err != nil {
		return err
	}
	defer done()
	target, err := s.fs.Readlink(f.path)
	if err == nil {
		o.answer().str(target)
	}
	return err
}

func (s *server) link(o *operation) error {
	dn, n := o.request.u32(), o.request.u32()
	name, err := o.name()
	if err != nil {
		return err
	}
	dir, err := s.fid(dn)
	if err != nil {
		return err
	}
	f, done, err := s.use(o, n)
	if err != nil {
		return unix.ENOENT
	}
	defer done()
	return s.fs.Link(f.path, dir.path, name)
}

// moved makes fids at or below a place follow what was renamed. Preconditions: names is held for writing.
func (s *server) moved(from, to fsdev.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fids {
		if f.path.Within(from) {
			f.path = append(append(fsdev.Path(nil), to...), f.path[len(from):]...)
		}
	}
}

// rename moves the file of a fid into a directory under a name.
func (s *server) rename(o *operation) error {
	n, dn := o.request.u32(), o.request.u32()
	name, err := o.name()
	if err != nil {
		return err
	}
	f, err := s.fid(n)
	if err != nil {
		return err
	}
	dir, err := s.fid(dn)
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if len(f.path) == 0 {
		return unix.EBUSY
	}
	return s.move(f.path[:len(f.path)-1], f.path[len(f.path)-1], dir.path, name)
}

func (s *server) move(oldDir fsdev.Path, oldName string, newDir fsdev.Path, newName string) error {
	from, to := append(fsdev.Path(nil), oldDir.Join(oldName)...), append(fsdev.Path(nil), newDir.Join(newName)...)
	if err := s.fs.Rename(oldDir, oldName, newDir, newName); err != nil {
		return err
	}
	s.moved(from, to)
	return nil
}

func (s *server) renameat(o *operation) error {
	n := o.request.u32()
	oldName, err := o.name()
	if err != nil {
		return err
	}
	dn := o.request.u32()
	newName, err := o.name()
	if err != nil {
		return err
	}
	from, err := s.fid(n)
	if err != nil {
		return err
	}
	to, err := s.fid(dn)
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	return s.move(from.path, oldName, to.path, newName)
}

func (s *server) unlinkat(o *operation) error {
	const removeDir = 0x200
	n := o.request.u32()
	name, err := o.name()
	flags := o.request.u32()
	if err == nil {
		err = o.bad()
	}
	switch {
	case err == unix.EEXIST:
		return unix.EINVAL
	case err != nil:
		return err
	case flags&^removeDir != 0:
		return unix.EINVAL
	}
	f, done, err := s.use(o, n)
	if err != nil {
		return err
	}
	defer done()
	return s.fs.Unlink(f.path, name, flags&removeDir != 0)
}

// remove removes the file of a fid, and ends the fid in any case.
func (s *server) remove(o *operation) error {
	n := o.request.u32()
	s.mu.Lock()
	f := s.fids[n]
	delete(s.fids, n)
	s.mu.Unlock()
	if f == nil {
		return unix.EINVAL
	}
	s.names.RLock()
	path := f.path
	err := error(unix.EBUSY)
	if len(path) > 0 {
		var st unix.Stat_t
		if st, err = s.fs.Stat(path); err == nil {
			err = s.fs.Unlink(path[:len(path)-1], path[len(path)-1], st.Mode&unix.S_IFMT == unix.S_IFDIR)
		}
	}
	s.names.RUnlock()
	_ = s.drop(f)
	return err
}
