package qcow2

import "math/bits"

// clusterType says what an L2 entry means.
type clusterType uint8

const (
	cUnallocated clusterType = iota
	cZeroPlain               // zeroes, nothing allocated
	cZeroAlloc               // zeroes over an allocated cluster
	cNormal
	cCompressed
)

// allocated tells whether the entry refers to host clusters.
func (t clusterType) allocated() bool { return t == cZeroAlloc || t == cNormal || t == cCompressed }

// subType says what one subcluster (or a cluster without subclusters) holds.
type subType uint8

const (
	sUnallocPlain subType = iota
	sUnallocAlloc         // unallocated in an allocated cluster
	sZeroPlain
	sZeroAlloc
	sNormal
	sCompressed
	sInvalid
)

// clusterTypeOf classifies an L2 entry.
func (im *image) clusterTypeOf(entry uint64) clusterType {
	switch {
	case entry&flagCompressed != 0:
		return cCompressed
	case entry&flagZero != 0 && !im.hasSubclusters():
		if entry&l2OffsetMask != 0 {
			return cZeroAlloc
		}
		return cZeroPlain
	case entry&l2OffsetMask != 0:
		return cNormal
	case im.hasDataFile() && entry&flagCopied != 0:
		return cNormal // host offset 0 of an external data file
	}
	return cUnallocated
}

// subTypeOf classifies subcluster sc.
func (im *image) subTypeOf(entry, bitmap uint64, sc int) subType {
	t := im.clusterTypeOf(entry)
	if !im.hasSubclusters() {
		return [...]subType{cUnallocated: sUnallocPlain, cZeroPlain: sZeroPlain, cZeroAlloc: sZeroAlloc, cNormal: sNormal, cCompressed: sCompressed}[t]
	}
	zero, alloc := bitmap>>(32+sc)&1 != 0, bitmap>>sc&1 != 0
	switch t {
	case cCompressed:
		return sCompressed
	case cNormal:
		switch {
		case bitmap>>32&bitmap != 0:
			return sInvalid
		case zero:
			return sZeroAlloc
		case alloc:
			return sNormal
		}
		return sUnallocAlloc
	}
	switch {
	case bitmap&subAllAlloc != 0:
		return sInvalid
	case zero:
		return sZeroPlain
	}
	return sUnallocPlain
}

// subRange classifies subcluster sc and counts how many from there to the end of the cluster are alike; 0 if the entry is invalid.
func (im *image) subRange(entry, bitmap uint64, sc int) (subType, int) {
	t := im.subTypeOf(entry, bitmap, sc)
	if t == sInvalid {
		return t, 0
	}
	rest := im.subs - sc
	if im.subs == 1 || t == sCompressed {
		return t, rest
	}
	var run uint32 // a one for each subcluster that ends the run
	switch t {
	case sNormal:
		run = ^uint32(bitmap)
	case sZeroPlain, sZeroAlloc:
		run = ^uint32(bitmap >> 32)
	default:
		run = uint32(bitmap>>32) | uint32(bitmap)
	}
	return t, min(rest, bits.TrailingZeros32(run>>sc))
}

// subAllocRange and subZeroRange are the bitmap bits of subclusters from to to-1.
func subAllocRange(from, to int) uint64 { return 1<<to - 1<<from }
func subZeroRange(from, to int) uint64  { return subAllocRange(from, to) << 32 }
