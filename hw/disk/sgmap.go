package disk

// Map returns the memory of the ranges for direct access, and what to call once it has been accessed. Where a part of it is not memory, a
// buffer stands in, which done copies; ok is false if it would be too large. toMemory says that the ranges are written to.
// Preconditions: the machine lock is held, also when done is called.
func (s *SG) Map(toMemory bool) (iov [][]byte, done func(), ok bool) {
	if iov, ok = s.vector(toMemory); ok {
		if toMemory {
			return iov, s.written, true
		}
		return iov, func() {}, true
	}
	buf, err := s.bounce()
	if err != nil {
		return nil, nil, false
	}
	if toMemory {
		return [][]byte{buf}, func() { s.Store(buf) }, true
	}
	s.Load(buf)
	return [][]byte{buf}, func() {}, true
}
