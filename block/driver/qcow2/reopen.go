package qcow2

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// reopening is a reopen transaction between its two steps.
type reopening struct {
	s settings
}

// JoinOptions implements block.OptionJoiner: a template of overlap checks and a size of both caches stand for all that was said about them before;
// sizes of both caches stand for that of all.
func (im *image) JoinOptions(o, old *block.Options) {
	const all, l2, ref = "cache-size", "l2-cache-size", "refcount-cache-size"
	if o.Has("overlap-check") || o.Has("overlap-check.template") {
		_, _ = old.TakeString("overlap-check")
		old.Extract("overlap-check")
	}
	has := func(name string) bool { return o.Has(name) || old.Has(name) }
	switch {
	case o.Has(all):
		old.Delete(l2)
		old.Delete(ref)
	case has(l2) && has(ref):
		old.Delete(all)
	}
}

// ReopenPrepare implements block.Reopener.
func (im *image) ReopenPrepare(_ context.Context, o *block.Options, m block.Mode) error {
	rt, err := parseRuntime(o)
	if err != nil {
		return err
	}
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	s, err := im.prepareRuntime(rt, m)
	if err != nil {
		return err
	}
	if m.ReadOnly {
		if err := im.bitmapsReadOnly(); err != nil {
			return err
		}
		if im.writable() {
			if err := im.flushCaches(); err != nil {
				return err
			}
			if err := im.markClean(); err != nil {
				return err
			}
		}
	} else if im.incompatible&incCorrupt != 0 && !m.Check {
		return block.Errorf(unix.EACCES, "qcow2: Image is corrupt; cannot be opened read/write")
	}
	im.pending = &reopening{s}
	return nil
}

// ReopenCommit implements block.Reopener.
func (im *image) ReopenCommit() {
	im.mu.Lock()
	defer im.mu.Unlock()
	p := im.pending
	im.pending = nil
	if p == nil {
		return
	}
	if im.l2cache.flush() == nil && im.refCache.flush() == nil {
		im.commitSettings(p.s)
	}
}

// ReopenFinish implements block.ReopenFinisher.
func (im *image) ReopenFinish() {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.writable() && !im.broken.Load() {
		if err := im.bitmapsWritable(); err != nil {
			im.messagef("%s: Failed to make dirty bitmaps writable: %s", im.n.Name(), err)
		}
	}
}

// ReopenAbort implements block.Reopener.
func (im *image) ReopenAbort() {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.pending = nil
}
