package qcow2

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// cache holds tables of one kind in memory: slices of L2 tables, or refcount blocks. Tables are written back late and in an order: those of
// the cache that this one depends on come first, with a flush between.
//
// A table that get returned stays in place until put.
type cache struct {
	im        *image
	name      string // in messages
	loadEvent string
	saveEvent string
	own       overlapMask // what the tables are themselves
	size      int64       // bytes of a table
	capacity  int         // tables
	flushed   func()      // called when all tables are on the medium

	tables map[int64]*table
	head   table // of the list by last use: head.next is the oldest
	free   []*table

	depends          *cache // to be flushed before anything of this cache is written
	dependsOnFlush   bool   // the file must be flushed before anything is written
	dirty            int
	cleaned, counter uint64 // of uses, for clean
}

// table is one cached table.
type table struct {
	off        int64
	b          []byte
	pins       int
	dirty      bool
	used       uint64
	prev, next *table
}

func newCache(im *image, name, loadEvent, saveEvent string, own overlapMask, size int64, capacity int) *cache {
	c := &cache{im: im, name: name, loadEvent: loadEvent, saveEvent: saveEvent, own: own, size: size, capacity: capacity, tables: map[int64]*table{}}
	c.head.prev, c.head.next = &c.head, &c.head
	return c
}

func (t *table) unlink() { t.prev.next, t.next.prev = t.next, t.prev }

// touch makes t the newest.
func (c *cache) touch(t *table) {
	t.prev, t.next = c.head.prev, &c.head
	t.prev.next, t.next.prev = t, t
	c.counter++
	t.used = c.counter
}

// get returns the table at off, from memory or from the file.
func (c *cache) get(off int64) (*table, error) { return c.lookup(off, true) }

// getEmpty returns the table at off without reading it: the caller writes all of it.
func (c *cache) getEmpty(off int64) (*table, error) { return c.lookup(off, false) }

func (c *cache) lookup(off int64, read bool) (*table, error) {
	if off&(c.size-1) != 0 {
		return nil, c.im.corruptf("Cannot get entry from %s cache: Offset %s is unaligned", c.name, hex(off))
	}
	if t := c.tables[off]; t != nil {
		t.unlink()
		c.touch(t)
		t.pins++
		return t, nil
	}
	t, err := c.room()
	if err != nil {
		return nil, err
	}
	if read {
		if c.loadEvent != "" {
			c.im.event(c.loadEvent)
		}
		if err := c.im.file.Read(bg, off, t.b); err != nil {
			c.free = append(c.free, t)
			return nil, err
		}
	}
	t.off, t.dirty, t.pins = off, false, 1
	c.tables[off] = t
	c.touch(t)
	return t, nil
}

// room finds memory for one more table: of a free one, a new one, or the one not used for longest.
func (c *cache) room() (*table, error) {
	if n := len(c.free); n > 0 {
		t := c.free[n-1]
		c.free = c.free[:n-1]
		return t, nil
	}
	if len(c.tables) < c.capacity {
		return &table{b: make([]byte, c.size)}, nil
	}
	for t := c.head.next; t != &c.head; t = t.next {
		if t.pins > 0 {
			continue
		}
		if err := c.save(t); err != nil {
			return nil, err
		}
		t.unlink()
		delete(c.tables, t.off)
		return t, nil
	}
	return &table{b: make([]byte, c.size)}, nil // all are in use
}

// put gives a table back.
func (c *cache) put(t *table) { t.pins-- }

// mark says that the table was changed.
func (c *cache) mark(t *table) {
	if !t.dirty {
		t.dirty = true
		c.dirty++
	}
}

// before does what must be done before anything of this cache is written.
func (c *cache) before() error {
	if c.depends != nil {
		return c.flushDependency()
	}
	if c.dependsOnFlush {
		if err := c.im.file.Flush(bg); err != nil {
			return err
		}
	}
	return c.flushData()
}

// flushData flushes an external data file if something was copied there that the tables are about to name.
func (c *cache) flushData() error {
	if c.dependsOnFlush && c.im.hasDataFile() && c.im.data != nil {
		if err := c.im.data.Flush(bg); err != nil {
			return err
		}
	}
	c.dependsOnFlush = false
	return nil
}

func (c *cache) flushDependency() error {
	if err := c.depends.flush(); err != nil {
		return err
	}
	c.depends = nil
	return c.flushData()
}

// dependOn orders this cache's tables behind those of d.
func (c *cache) dependOn(d *cache) error {
	if d.depends != nil {
		if err := d.flushDependency(); err != nil {
			return err
		}
	}
	if c.depends != nil && c.depends != d {
		if err := c.flushDependency(); err != nil {
			return err
		}
	}
	c.depends = d
	return nil
}

// save writes a table if it is dirty.
func (c *cache) save(t *table) error {
	if !t.dirty {
		return nil
	}
	if err := c.before(); err != nil {
		return err
	}
	if err := c.im.checkOverlap(c.own, t.off, c.size, false); err != nil {
		return err
	}
	c.im.event(c.saveEvent)
	if err := c.im.file.Write(bg, t.off, t.b, 0); err != nil {
		return err
	}
	t.dirty = false
	c.dirty--
	return nil
}

// write writes all dirty tables. It goes on after an error and reports the last one, but ENOSPC before any other.
func (c *cache) write() error {
	if c.dirty == 0 {
		return nil
	}
	var list []*table
	for _, t := range c.tables {
		if t.dirty {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *table) int { return int(min(max(a.off-b.off, -1), 1)) })
	var result error
	for _, t := range list {
		if err := c.save(t); err != nil && result != unix.ENOSPC {
			result = err
		}
	}
	return result
}

// flush writes all dirty tables and waits for the medium.
func (c *cache) flush() error {
	if err := c.write(); err != nil {
		return err
	}
	if err := c.im.file.Flush(bg); err != nil {
		return err
	}
	if c.flushed != nil {
		c.flushed()
	}
	return nil
}

// empty flushes and forgets everything.
func (c *cache) empty() error {
	if err := c.flush(); err != nil {
		return err
	}
	clear(c.tables)
	c.head.prev, c.head.next = &c.head, &c.head
	c.free = nil
	return nil
}

// forget drops the table at off, changed or not: its cluster is free now. A table that is in use stays.
func (c *cache) forget(off int64) {
	t := c.tables[off]
	if t == nil || t.pins > 0 {
		return
	}
	c.drop(t)
	if len(c.free) < 16 {
		c.free = append(c.free, t)
	}
}

func (c *cache) drop(t *table) {
	if t.dirty {
		t.dirty = false
		c.dirty--
	}
	t.unlink()
	delete(c.tables, t.off)
}

// clean drops what was not used since the last call.
func (c *cache) clean() {
	for t := c.head.next; t != &c.head; {
		next := t.next
		if t.pins == 0 && !t.dirty && t.used <= c.cleaned {
			c.drop(t)
		}
		t = next
	}
	c.free = nil
	c.cleaned = c.counter
}

// cleaner calls clean from time to time.
type cleaner struct{ done chan struct{} }

func startCleaner(im *image, seconds uint64) *cleaner {
	k := &cleaner{done: make(chan struct{})}
	go func() {
		tick := time.NewTicker(time.Duration(seconds) * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-k.done:
				return
			case <-tick.C:
			}
			im.mu.Lock()
			if im.cleaner == k {
				im.l2cache.clean()
				im.refCache.clean()
			}
			im.mu.Unlock()
		}
	}()
	return k
}

func (k *cleaner) stop() { close(k.done) }
