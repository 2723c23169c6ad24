package qcow2

import (
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// discardKind says why a cluster is freed; options choose for each kind whether the file below is told.
type discardKind uint8

const (
	discardNever discardKind = iota
	discardAlways
	discardRequest
	discardSnapshot
	discardOther
	discardKinds
)

// Defaults and minima of the caches.
const (
	minL2Cache      = 2 // tables
	minRefCache     = 4
	defaultL2Cache  = 32 << 20
	defaultInterval = 600 // seconds
)

// openOptions are the options of an opened node.
var openOptions = []block.Option{
	{Name: "lazy-refcounts", Type: block.OptBool, Help: "Postpone refcount updates"},
	{Name: "pass-discard-request", Type: block.OptBool, Help: "Pass guest discard requests to the layer below"},
	{Name: "pass-discard-snapshot", Type: block.OptBool, Help: "Generate discard requests when snapshot related space is freed"},
	{Name: "pass-discard-other", Type: block.OptBool, Help: "Generate discard requests when other clusters are freed"},
	{Name: "overlap-check", Type: block.OptString, Help: "Selects which overlap checks to perform from a range of templates (none, constant, cached, all)"},
	{Name: "overlap-check.template", Type: block.OptString, Help: "Selects which overlap checks to perform from a range of templates (none, constant, cached, all)"},
	{Name: "overlap-check.main-header", Type: block.OptBool, Help: "Check for unintended writes into the main qcow2 header"},
	{Name: "overlap-check.active-l1", Type: block.OptBool, Help: "Check for unintended writes into the active L1 table"},
	{Name: "overlap-check.active-l2", Type: block.OptBool, Help: "Check for unintended writes into an active L2 table"},
	{Name: "overlap-check.refcount-table", Type: block.OptBool, Help: "Check for unintended writes into the refcount table"},
	{Name: "overlap-check.refcount-block", Type: block.OptBool, Help: "Check for unintended writes into a refcount block"},
	{Name: "overlap-check.snapshot-table", Type: block.OptBool, Help: "Check for unintended writes into the snapshot table"},
	{Name: "overlap-check.inactive-l1", Type: block.OptBool, Help: "Check for unintended writes into an inactive L1 table"},
	{Name: "overlap-check.inactive-l2", Type: block.OptBool, Help: "Check for unintended writes into an inactive L2 table"},
	{Name: "overlap-check.bitmap-directory", Type: block.OptBool, Help: "Check for unintended writes into the bitmap directory"},
	{Name: optCryptFormat, Type: block.OptString, Help: "Format of the encryption (aes, luks)", Fixed: true},
	{Name: optCryptSecret, Type: block.OptString, Help: "ID of secret providing qcow2 AES key or LUKS passphrase", Fixed: true},
	{Name: "cache-size", Type: block.OptSize, Help: "Maximum combined metadata (L2 tables and refcount blocks) cache size"},
	{Name: "l2-cache-size", Type: block.OptSize, Help: "Maximum L2 table cache size"},
	{Name: "l2-cache-entry-size", Type: block.OptSize, Help: "Size of each entry in the L2 cache"},
	{Name: "refcount-cache-size", Type: block.OptSize, Help: "Maximum refcount block cache size"},
	{Name: "cache-clean-interval", Type: block.OptNumber, Help: "Clean unused cache entries after this time (in seconds)"},
}

// runtimeOptions are the options as given; a nil pointer is one that was not.
type runtimeOptions struct {
	lazy              *bool
	discard           [discardKinds]*bool
	overlap, template string
	overlapBits       [overlapKinds]*bool
	cacheSize, l2Size *uint64
	l2Entry, refSize  *uint64
	interval          *uint64

	cryptFormat, keySecret string
}

// parseRuntime takes the options out of o.
func parseRuntime(o *block.Options) (runtimeOptions, error) {
	var rt runtimeOptions
	p := optionParser{o: o}
	rt.lazy = p.bool("lazy-refcounts")
	rt.discard[discardRequest] = p.bool("pass-discard-request")
	rt.discard[discardSnapshot] = p.bool("pass-discard-snapshot")
	rt.discard[discardOther] = p.bool("pass-discard-other")
	rt.overlap, _ = o.TakeString("overlap-check")
	rt.template, _ = o.TakeString("overlap-check.template")
	for i, k := range overlapOptions {
		rt.overlapBits[i] = p.bool("overlap-check." + k)
	}
	rt.cryptFormat, _ = o.TakeString(optCryptFormat)
	rt.keySecret, _ = o.TakeString(optCryptSecret)
	rt.cacheSize, rt.l2Size = p.size("cache-size"), p.size("l2-cache-size")
	rt.l2Entry, rt.refSize = p.size("l2-cache-entry-size"), p.size("refcount-cache-size")
	if o.Has("cache-clean-interval") {
		v, err := o.TakeUint("cache-clean-interval", 0)
		p.keep(err)
		rt.interval = &v
	}
	return rt, p.err
}

// optionParser takes options and remembers the first error.
type optionParser struct {
	o   *block.Options
	err error
}

func (p *optionParser) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *optionParser) bool(name string) *bool {
	if !p.o.Has(name) {
		return nil
	}
	v, err := p.o.TakeBool(name, false)
	p.keep(err)
	return &v
}

func (p *optionParser) size(name string) *uint64 {
	if !p.o.Has(name) {
		return nil
	}
	v, err := p.o.TakeSize(name, 0)
	p.keep(err)
	return &v
}

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// cacheSizes are sizes in bytes.
type cacheSizes struct{ l2, entry, ref uint64 }

// cacheSizes distributes the memory that the options allow.
func (im *image) cacheSizes(rt runtimeOptions) (c cacheSizes, err error) {
	cluster := uint64(im.clusterSize)
	entries := (uint64(im.length.Load()) + cluster - 1) / cluster
	maxL2 := (entries*uint64(im.l2EntrySize) + cluster - 1) &^ (cluster - 1)
	c.ref = or(rt.refSize, 0)
	c.entry = or(rt.l2Entry, cluster)
	l2Setting := or(rt.l2Size, defaultL2Cache)
	c.l2 = min(maxL2, l2Setting)
	if rt.cacheSize != nil {
		all := *rt.cacheSize
		switch {
		case rt.l2Size != nil && rt.refSize != nil:
			return c, block.Errorf(unix.EINVAL, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time")
		case rt.l2Size != nil && l2Setting > all:
			return c, block.Errorf(unix.EINVAL, "l2-cache-size may not exceed cache-size")
		case c.ref > all:
			return c, block.Errorf(unix.EINVAL, "refcount-cache-size may not exceed cache-size")
		case rt.l2Size != nil:
			c.ref = all - c.l2
		case rt.refSize != nil:
			c.l2 = all - c.ref
		case all >= maxL2+minRefCache*cluster:
			c.l2 = maxL2
			c.ref = all - c.l2
		default:
			c.ref = min(all, minRefCache*cluster)
			c.l2 = all - c.ref
		}
	}
	if c.l2 < maxL2 && rt.l2Entry == nil {
		c.entry = min(cluster, 4096)
	}
	if c.entry < 1<<minClusterBits || c.entry > cluster || c.entry&(c.entry-1) != 0 {
		return c, block.Errorf(unix.EINVAL, "L2 cache entry size must be a power of two between %d and the cluster size (%d)", 1<<minClusterBits, cluster)
	}
	return c, nil
}

// settings is what options come to for this image, ready to be applied.
type settings struct {
	rt       runtimeOptions
	l2, ref  uint64 // tables
	entry    int64
	interval uint64
	lazy     bool
	overlap  overlapMask
	pass     [discardKinds]bool
}

// prepareRuntime checks the options against the image.
func (im *image) prepareRuntime(rt runtimeOptions, mode block.Mode) (s settings, err error) {
	sizes, err := im.cacheSizes(rt)
	if err != nil {
		return s, err
	}
	s.rt = rt
	s.entry = int64(sizes.entry)
	s.l2 = max(sizes.l2/sizes.entry, minL2Cache)
	s.ref = max(sizes.ref/uint64(im.clusterSize), minRefCache)
	if s.l2 > math.MaxInt32 {
		return s, block.Errorf(unix.EINVAL, "L2 cache size too big")
	}
	if s.ref > math.MaxInt32 {
		return s, block.Errorf(unix.EINVAL, "Refcount cache size too big")
	}
	if s.interval = or(rt.interval, defaultInterval); s.interval > math.MaxUint32 {
		return s, block.Errorf(unix.EINVAL, "Cache clean interval too big")
	}
	if s.lazy = or(rt.lazy, im.compat&compLazyRefcounts != 0); s.lazy && im.version < 3 {
		return s, block.Errorf(unix.EINVAL, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level")
	}
	if s.overlap, err = overlapOf(rt); err != nil {
		return s, err
	}
	s.pass[discardAlways] = true
	s.pass[discardRequest] = or(rt.discard[discardRequest], mode.Unmap)
	s.pass[discardSnapshot] = or(rt.discard[discardSnapshot], true)
	s.pass[discardOther] = or(rt.discard[discardOther], false)
	return s, im.flushForSettings(s)
}

// flushForSettings writes out what the new settings cannot take over.
func (im *image) flushForSettings(s settings) error {
	if im.l2cache != nil {
		if err := im.l2cache.flush(); err != nil {
			return block.Errnof(block.Errno(err), "Failed to flush the L2 table cache")
		}
		if err := im.refCache.flush(); err != nil {
			return block.Errnof(block.Errno(err), "Failed to flush the refcount block cache")
		}
	}
	if im.lazy && !s.lazy {
		if err := im.markClean(); err != nil {
			return block.Errnof(block.Errno(err), "Failed to disable lazy refcounts")
		}
	}
	return nil
}

// commitSettings puts checked settings into force. The caches are clean.
func (im *image) commitSettings(s settings) {
	im.rt = s.rt
	im.l2cache = newCache(im, "L2 table", "l2_load", "l2_update", olActiveL2, s.entry, int(s.l2))
	im.refCache = newCache(im, "refcount block", "", "refblock_update_part", olRefcountBlock, im.clusterSize, int(s.ref))
	im.l2cache.flushed = im.letGo
	im.sliceSize = s.entry / im.l2EntrySize
	im.overlap, im.lazy, im.passDiscard = s.overlap, s.lazy, s.pass
	im.stop()
	if s.interval > 0 {
		im.cleaner = startCleaner(im, s.interval)
	}
}

// applyRuntime checks and applies options at once.
func (im *image) applyRuntime(rt runtimeOptions, mode block.Mode) error {
	s, err := im.prepareRuntime(rt, mode)
	if err == nil {
		im.commitSettings(s)
	}
	return err
}
