package mirror

import (
	"context"
	"slices"
	"time"

	"goemu/block"
	"goemu/block/job"
)

// overlaps tells whether a range is on its way.
// Preconditions: mu is held.
func (m *mirror) overlaps(off, end int64) bool {
	return slices.ContainsFunc(m.claims, func(c claim) bool { return c.off < end && off < c.end })
}

// release ends a claim.
// Preconditions: mu is held.
func (m *mirror) release(c claim) {
	i := slices.Index(m.claims, c)
	m.claims = slices.Delete(m.claims, i, i+1)
	m.changed.Broadcast()
}

// whole widens a range to what must be copied together.
func (m *mirror) whole(off, n int64) claim {
	end := off + n + m.align - 1
	return claim{off - off%m.align, end - end%m.align}
}

// piece is the most that one operation copies.
func (m *mirror) piece() int64 {
	return max(min(m.Buffer, max(m.Buffer/maxInFlight, maxTransfer)), m.align)
}

// begin starts to copy the next dirty range from pos on, and returns where to go on.
func (m *mirror) begin(ctx context.Context, j *job.Job, pos int64) int64 {
	off, n, ok := m.bits.NextDirtyArea(pos, m.length, m.piece())
	if !ok {
		return 0
	}
	c := m.whole(off, n)
	c.end = min(c.end, m.length)
	off, n = c.off, c.end-c.off
	m.mu.Lock()
	for m.overlaps(c.off, c.end) {
		m.changed.Wait()
	}
	m.claims = append(m.claims, c)
	m.ops++
	m.busy += n
	m.mu.Unlock()
	m.bits.Reset(off, n)
	go func() {
		err := m.copy(ctx, j, off, n)
		m.mu.Lock()
		if err != nil && m.err == nil {
			m.err = err
		}
		m.busy -= n
		m.ops--
		m.release(c)
		m.mu.Unlock()
	}()
	if j.Limited() {
		m.waitOps(0)
		j.Rest(j.Charge(m.charged.Swap(0)))
	}
	return off + n
}

// copy brings one range to the target, in pieces that are independent of each other. Granules of which a part could not be copied are dirty
// again; the error is one that ends the job.
func (m *mirror) copy(ctx context.Context, j *job.Job, off, n int64) (err error) {
	part := int64(0) // copied of a granule that is not complete
	for end := off + n; off < end; {
		k, read, failure := m.copyPiece(ctx, off, end-off)
		part += k
		rest := (off + k) % m.granularity
		switch {
		case failure != nil:
			m.bits.Set(off, k)
			if failure = m.failed(j, read, failure); err == nil {
				err = failure
			}
			if part = 0; rest > 0 {
				k += m.granularity - rest
			}
		case rest == 0 || off+k == end:
			j.Progress(part)
			part = 0
		}
		off += k
	}
	return err
}

// copyPiece copies the bytes from off on that are alike, in whole granules where that is possible; k is their number. read tells which side
// an error is about.
func (m *mirror) copyPiece(ctx context.Context, off, n int64) (k int64, read bool, err error) {
	s, _, err := m.Source.StatusAbove(ctx, nil, false, true, off, n)
	if err != nil {
		return n, true, err
	}
	if s.N == 0 { // beyond the end
		s = block.Status{Flags: block.StatusZero, N: n}
	}
	k = s.N
	if rest := (off + k) % m.granularity; rest < k {
		k -= rest
	}
	switch {
	case s.Flags&block.StatusData != 0 && s.Flags&block.StatusZero == 0:
		k = min(k, maxTransfer)
		if read, err = m.transfer.Copy(ctx, off, k); err == nil {
			m.charged.Add(k)
			m.behind.Wrote(m.Target, k)
		}
	case s.Flags&block.StatusZero != 0 || !m.Unmap:
		err = m.target.WriteZeroes(ctx, off, k, m.zeroFlags())
		m.chargeZeroes(k)
	default:
		err = m.target.Discard(ctx, off, k)
		m.chargeZeroes(k)
	}
	return k, read, err
}

// chargeZeroes counts zeroes against the speed if they are any work.
func (m *mirror) chargeZeroes(n int64) {
	if !m.cheapZeroes {
		m.charged.Add(n)
	}
}

func (m *mirror) zeroFlags() block.Flags {
	if m.Unmap {
		return block.MayUnmap
	}
	return 0
}

// failed asks the policy about an error; it returns the error if the job is to end.
func (m *mirror) failed(j *job.Job, read bool, err error) error {
	p := m.OnTargetError
	if read {
		p = m.OnSourceError
	}
	switch j.Failed(p, read, err) {
	case job.ActionReport:
		return err
	case job.ActionIgnore:
		time.Sleep(job.RetryDelay)
	}
	return nil
}
