// Package blockcopy copies marked clusters from one node to another, once each, whoever asks first: a job in the background or a guest's
// write that is about to change them.
package blockcopy

import (
	"context"
	"math/bits"
	"slices"
	"sync"

	"goemu/block"
	"goemu/block/bitmap"
)

// MinCluster is the smallest unit of copying in bytes.
const MinCluster = 64 << 10

// maxTransfer is the most that is copied at once, unless a cluster is larger.
const maxTransfer = 1 << 20

// Copier copies from Source to Target. All methods may be called from many goroutines.
type Copier struct {
	*Transfer
	// Compressed makes the target write compressed clusters.
	Compressed bool
	// Chunk is the most that is copied at once, in bytes; 0 for the default.
	Chunk int64
	// Copied, if set, hears how many bytes have been dealt with.
	Copied func(n int64)

	length, cluster int64

	mu     sync.Mutex
	ended  sync.Cond // a copy ended
	marks  *bitmap.Map
	copies []span // on their way
}

type span struct{ off, end int64 }

// New makes a copier for a disk of length bytes with nothing marked. The unit is a power of two.
func New(source, target *block.Child, length, cluster int64) *Copier {
	c := &Copier{Transfer: NewTransfer(source, target, max(maxTransfer, cluster)), length: length, cluster: cluster}
	c.marks = bitmap.NewMap(length, uint(bits.TrailingZeros64(uint64(cluster))))
	c.ended.L = &c.mu
	return c
}

// ClusterFor is the unit for a target: its clusters, so that none is copied twice because of a part of it.
func ClusterFor(target *block.Node) int64 {
	i, _ := target.Info()
	return max(MinCluster, i.ClusterSize)
}

// chunk is the most that is copied at once: whole clusters.
func (c *Copier) chunk() int64 {
	n := int64(maxTransfer)
	if c.Chunk > 0 {
		n = min(n, c.Chunk-c.Chunk%c.cluster)
	}
	return max(n, c.cluster)
}

// Do lets f read and change the marks.
func (c *Copier) Do(f func(m *bitmap.Map)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.marks)
}

// Left is the number of bytes that are marked or on their way.
func (c *Copier) Left() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.marks.Count()
	for _, s := range c.copies {
		n += s.end - s.off
	}
	return n
}

// Next finds a marked range from pos on.
func (c *Copier) Next(pos int64) (off, n int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks.NextDirtyArea(pos, c.length, c.chunk())
}

// Clusters widens a range to whole clusters.
func (c *Copier) Clusters(off, n int64) (first, end int64) {
	end = min(off+n+c.cluster-1, c.length+c.cluster-1)
	return off - off%c.cluster, end - end%c.cluster
}

// CopyMarked copies what is marked in the clusters of a range, and waits for what others copy there. What was not copied because of an error is
// marked again; read tells whether it was the source that failed.
func (c *Copier) CopyMarked(ctx context.Context, off, n int64) (read bool, err error) {
	off, end := c.Clusters(off, n)
	for {
		s, ok := c.claim(off, end)
		if !ok {
			return false, nil
		}
		done, read, err := c.copySpan(ctx, s)
		c.mu.Lock()
		if err != nil {
			done -= done % c.cluster
			c.marks.Set(done, s.end-done)
		}
		c.copies = slices.DeleteFunc(c.copies, func(x span) bool { return x == s })
		c.ended.Broadcast()
		c.mu.Unlock()
		if c.Copied != nil && done > s.off {
			c.Copied(done - s.off)
		}
		if err != nil {
			return read, err
		}
	}
}

// claim takes the next marked part of a range. ok is false if nothing there is marked any more and nothing on its way.
func (c *Copier) claim(off, end int64) (s span, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if at, n, ok := c.marks.NextDirtyArea(off, end, c.chunk()); ok {
			s = span{at, min(at+n, c.length)}
			c.marks.Reset(at, n)
			c.copies = append(c.copies, s)
			return s, true
		}
		if !slices.ContainsFunc(c.copies, func(x span) bool { return x.off < end && off < x.end }) {
			return s, false
		}
		c.ended.Wait()
	}
}

// copySpan brings one range to the target, up to done if there is an error.
func (c *Copier) copySpan(ctx context.Context, s span) (done int64, read bool, err error) {
	for off := s.off; off < s.end; {
		st, _, err := c.Source.Node().StatusAbove(ctx, nil, false, true, off, s.end-off)
		if err != nil {
			return off, true, err
		}
		n := st.N
		if n == 0 {
			n = s.end - off
		}
		if c.Compressed { // whole clusters only
			if n -= n % c.cluster; n == 0 || off+n > s.end {
				n, st.Flags = min(c.cluster, s.end-off), block.StatusData
			}
		}
		if st.Flags&block.StatusZero != 0 {
			if err := c.Target.WriteZeroes(ctx, off, n, block.MayUnmap); err != nil {
				return off, false, err
			}
			off += n
			continue
		}
		n = min(n, c.chunk())
		if c.Compressed {
			read, err = c.through(ctx, off, n, func(b []byte) error { return c.compress(ctx, off, b) })
		} else {
			read, err = c.Copy(ctx, off, n)
		}
		if err != nil {
			return off, read, err
		}
		off += n
	}
	return s.end, false, nil
}

// compress writes to the target, cluster by cluster.
func (c *Copier) compress(ctx context.Context, off int64, b []byte) error {
	for len(b) > 0 {
		n := min(c.cluster, int64(len(b)))
		if err := c.Target.Write(ctx, off, b[:n], block.Compressed); err != nil {
			return err
		}
		off, b = off+n, b[n:]
	}
	return nil
}
