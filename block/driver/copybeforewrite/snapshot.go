package copybeforewrite

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
)

// Snapshotter is a node that can show what another one contained before: reads and the status of blocks of that moment, and a way to say
// that a range is no longer of interest. What cannot be told any more fails with EACCES.
type Snapshotter interface {
	ReadSnapshot(ctx context.Context, off int64, iov [][]byte) error
	SnapshotStatus(ctx context.Context, wantZero bool, off, n int64) (block.Status, error)
	DiscardSnapshot(ctx context.Context, off, n int64) error
}

// snapshot knows where the old content of each range is.
type snapshot struct {
	mu     sync.Mutex
	freed  sync.Cond   // a read of the source ended
	access *bitmap.Map // what can be told
	done   *bitmap.Map // what is in the target
	reads  []span      // of the source on their way: the guest's writes wait for them
	err    error       // set when the content is lost
}

type span struct{ off, end int64 }

func (s *snapshot) init(access *bitmap.Map) {
	s.access, s.done = access, access.Clone()
	s.done.Clear()
	s.freed.L = &s.mu
}

// do runs f with the maps locked.
func (s *snapshot) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// kept notes that a range is in the target, and waits for readers of the source there: the guest is about to write.
func (s *snapshot) kept(off, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.Set(off, end-off)
	s.await(off, end)
}

// lose notes that the old content cannot be told any more.
func (s *snapshot) lose(err error, off, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.await(off, end)
}

// await waits for readers of a range of the source.
// Preconditions: mu is held.
func (s *snapshot) await(off, end int64) {
	for slices.ContainsFunc(s.reads, func(r span) bool { return r.off < end && off < r.end }) {
		s.freed.Wait()
	}
}

// lost tells whether the old content is lost.
func (s *snapshot) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// begin finds out whether the bytes from off on are in the target, and how many of them are in the same place. If they are still in the
// source, they stay as they are until end is called.
func (s *snapshot) begin(off, n int64) (inTarget bool, num int64, end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, 0, nil, unix.EACCES
	}
	if _, gap := s.access.NextZero(off, n); gap {
		return false, 0, nil, unix.EACCES
	}
	if inTarget, num = s.done.Status(off, n); inTarget {
		return true, num, func() {}, nil
	}
	r := span{off, off + n}
	s.reads = append(s.reads, r)
	return false, num, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.Index(s.reads, r)
		s.reads = slices.Delete(s.reads, i, i+1)
		s.freed.Broadcast()
	}, nil
}

// place is the child that has the bytes.
func (f *Filter) place(inTarget bool) *block.Child {
	if inTarget {
		return f.target
	}
	return f.node.Filtered()
}

// ReadSnapshot implements Snapshotter.
func (f *Filter) ReadSnapshot(ctx context.Context, off int64, iov [][]byte) error {
	var part [][]byte
	for done, total := int64(0), block.IovLen(iov); done < total; {
		inTarget, n, end, err := f.snap.begin(off+done, total-done)
		if err != nil {
			return err
		}
		part = block.IovSlice(part, iov, done, n)
		err = f.place(inTarget).ReadV(ctx, off+done, part, 0)
		end()
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// SnapshotStatus implements Snapshotter.
func (f *Filter) SnapshotStatus(ctx context.Context, wantZero bool, off, n int64) (block.Status, error) {
	inTarget, n, end, err := f.snap.begin(off, n)
	if err != nil {
		return block.Status{}, err
	}
	defer end()
	return f.place(inTarget).Node().Status(ctx, wantZero, off, n)
}

// DiscardSnapshot implements Snapshotter.
func (f *Filter) DiscardSnapshot(ctx context.Context, off, n int64) error {
	f.snap.mu.Lock()
	f.snap.access.Reset(off, n)
	f.snap.mu.Unlock()
	f.copier.Do(func(m *bitmap.Map) { m.Reset(off, n) })
	return f.target.Discard(ctx, off, n)
}
