package qed

import (
	"context"

	"goemu/block"
)

// checker finds out which clusters of the file are used.
type checker struct {
	*image
	fix  bool
	used []uint64 // a bit for each cluster
	res  block.CheckResult
}

// check looks for entries that name no cluster, clusters that several entries name, and clusters that none does.
// Preconditions: mu is held.
func (im *image) check(ctx context.Context, fix bool) (block.CheckResult, error) {
	cluster := int64(im.h.cluster)
	count := im.end / cluster
	c := checker{image: im, fix: fix, used: make([]uint64, count/64+1)}
	c.res.TotalClusters = (int64(im.h.size) + cluster - 1) / cluster
	if err := c.first(ctx); err != nil {
		return c.res, err
	}
	for i := int64(im.h.clusters); i < count; i++ {
		if c.used[i/64]>>(i%64)&1 == 0 {
			c.res.Leaks++
		}
	}
	if !fix || c.res.Corruptions > 0 || c.res.CheckErrors > 0 {
		return c.res, nil
	}
	return c.res, im.clean(ctx)
}

// mark notes that n clusters at a place are used, and tells whether none was before.
func (c *checker) mark(at uint64, n uint32) bool {
	ok := true
	for i := at / uint64(c.h.cluster); n > 0; i, n = i+1, n-1 {
		if c.used[i/64]>>(i%64)&1 != 0 {
			c.res.Corruptions++
			ok = false
		}
		c.used[i/64] |= 1 << (i % 64)
	}
	return ok
}

// bad counts an entry that names nothing; it is cleared if the image is to be repaired.
func (c *checker) bad(t []byte, i int64) {
	if !c.fix {
		c.res.Corruptions++
		return
	}
	le.PutUint64(t[i*entryLen:], 0)
	c.res.CorruptionsFixed++
}

// first checks the first table and all that hang on it.
func (c *checker) first(ctx context.Context) error {
	c.mark(c.h.l1, c.h.table)
	var failed error
	keep := func(err error) {
		if err != nil {
			c.res.CheckErrors++
			failed = err
		}
	}
	changed := false
	for i := range c.h.entries() {
		switch at := le.Uint64(c.l1[i*entryLen:]); {
		case at == 0:
		case !c.validTableAt(at):
			c.bad(c.l1, i)
			changed = true
		case c.mark(at, c.h.table):
			t, err := c.table(ctx, int64(at))
			if err == nil && c.second(t) && c.fix {
				err = c.file.Write(ctx, int64(at), t, 0)
			}
			keep(err)
		}
	}
	if changed && c.fix {
		keep(c.file.Write(ctx, int64(c.h.l1), c.l1, 0))
	}
	return failed
}

// second checks a second table, and tells whether something was wrong.
func (c *checker) second(t []byte) (wrong bool) {
	last := uint64(0)
	for i := range c.h.entries() {
		at := le.Uint64(t[i*entryLen:])
		if at <= zeroCluster {
			continue
		}
		c.res.AllocatedClusters++
		if last != 0 && last+uint64(c.h.cluster) != at {
			c.res.FragmentedClusters++
		}
		last = at
		if !c.validPlace(at) {
			c.bad(t, i)
			wrong = true
			continue
		}
		c.mark(at, 1)
	}
	return wrong
}
