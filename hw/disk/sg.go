package disk

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/memory"
)

// bounceMax limits the transfers whose memory cannot be reached directly, because it lies in a device.
const bounceMax = 1 << 20

// SG is a scatter/gather list: ranges of a device's view of memory.
type SG struct {
	Space  *memory.AddressSpace
	Ranges []Range
	Size   int64
}

// Range is a part of an SG.
type Range struct{ Addr, Len uint64 }

// Add appends a range.
func (s *SG) Add(addr, n uint64) {
	if n == 0 {
		return
	}
	if last := len(s.Ranges) - 1; last >= 0 && s.Ranges[last].Addr+s.Ranges[last].Len == addr {
		s.Ranges[last].Len += n
	} else {
		s.Ranges = append(s.Ranges, Range{addr, n})
	}
	s.Size += int64(n)
}

// vector maps the list; ok is false if a part of it is not memory. toMemory says that the ranges are written to.
func (s *SG) vector(toMemory bool) (iov [][]byte, ok bool) {
	for _, r := range s.Ranges {
		if iov, ok = s.Space.AppendMap(iov, r.Addr, r.Len, toMemory); !ok {
			return nil, false
		}
	}
	return iov, true
}

// Store copies p into the ranges and returns how much fitted. Preconditions: the machine lock is held.
func (s *SG) Store(p []byte) (n int) {
	for _, r := range s.Ranges {
		k := min(uint64(len(p)-n), r.Len)
		s.Space.Write(r.Addr, p[n:n+int(k)])
		n += int(k)
	}
	return n
}

// Load copies the ranges into p and returns how much there was. Preconditions: the machine lock is held.
func (s *SG) Load(p []byte) (n int) {
	for _, r := range s.Ranges {
		k := min(uint64(len(p)-n), r.Len)
		s.Space.Read(r.Addr, p[n:n+int(k)])
		n += int(k)
	}
	return n
}

// Read reads the disk at off into the list, and calls finish under the machine lock. The host's cache may answer at once; then finish is
// called before Read returns, and the job is nil.
func (s *SG) Read(q *Queue, b *block.Backend, off int64, finish func(error)) *Job {
	iov, ok := s.vector(true)
	if !ok {
		buf, err := s.bounce()
		if err != nil {
			return q.Go(func() error { return err }, finish)
		}
		return q.Go(func() error { return b.Read(context.Background(), off, buf) }, func(err error) {
			if err == nil {
				s.Store(buf)
			}
			finish(err)
		})
	}
	if s.Size <= inlineMax && b.TryReadV(off, iov) {
		s.written()
		finish(nil)
		return nil
	}
	return q.Go(func() error { return b.ReadV(context.Background(), off, iov, 0) }, func(err error) {
		s.written()
		finish(err)
	})
}

// inlineMax limits reads that are tried without a goroutine.
const inlineMax = 64 << 10

// Write writes the list to the disk at off, and calls finish under the machine lock.
func (s *SG) Write(q *Queue, b *block.Backend, off int64, fl block.Flags, finish func(error)) *Job {
	iov, _, ok := s.Map(false)
	if !ok {
		return q.Go(func() error { return unix.EINVAL }, finish)
	}
	return q.Go(func() error { return b.WriteV(context.Background(), off, iov, fl) }, finish)
}

func (s *SG) bounce() ([]byte, error) {
	if s.Size > bounceMax {
		return nil, unix.EINVAL
	}
	return make([]byte, s.Size), nil
}

// written notes for dirty logs that the ranges have changed.
func (s *SG) written() {
	for _, r := range s.Ranges {
		s.Space.MarkDirty(r.Addr, r.Len)
	}
}
