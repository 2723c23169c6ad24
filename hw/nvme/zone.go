package nvme

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"goemu/hw/qdev"
)

// zoneOptions are the options of namespaces whose blocks are written zone by zone, each from its start to its end (Zoned Namespace Command
// Set 1.1).
type zoneOptions struct {
	Zoned         bool      `prop:"zoned,default=false"`
	Size          qdev.Size `prop:"zoned.zone_size,default=134217728"`
	Capacity      qdev.Size `prop:"zoned.zone_capacity,default=0"`
	CrossRead     bool      `prop:"zoned.cross_read,default=false"`
	MaxActive     uint32    `prop:"zoned.max_active,default=0"`
	MaxOpen       uint32    `prop:"zoned.max_open,default=0"`
	ExtensionSize uint32    `prop:"zoned.descr_ext_size,default=0"`
	RandomAreas   uint32    `prop:"zoned.numzrwa,default=0"`
	RandomSize    qdev.Size `prop:"zoned.zrwas,default=0"`
	RandomGrain   qdev.Size `prop:"zoned.zrwafg,default=18446744073709551615"`
}

// zoneState is a zone's (section 2.1.1.2.1).
type zoneState uint8

const (
	zoneEmpty          zoneState = 0x1
	zoneImplicitlyOpen zoneState = 0x2
	zoneExplicitlyOpen zoneState = 0x3
	zoneClosed         zoneState = 0x4
	zoneFull           zoneState = 0xe
)

func (s zoneState) open() bool   { return s == zoneImplicitlyOpen || s == zoneExplicitlyOpen }
func (s zoneState) active() bool { return s.open() || s == zoneClosed }

// Attributes of a zone.
const (
	zoneRandom   = 1 << 3 // has a random write area
	zoneExtended = 1 << 7 // its descriptor has an extension
)

// zone is a run of blocks.
type zone struct {
	state      zoneState
	attributes uint8
	start      uint64
	written    uint64 // the block after those that were written
	next       uint64 // the block after those that will have been written once all commands are over
	since      uint64 // when it got its state, in an order
}

// zones are a namespace's.
type zones struct {
	zoneOptions
	size, capacity          uint64 // of a zone in blocks
	list                    []zone
	extensions              []byte
	open, active            uint32
	changes                 uint64
	randomSize, randomGrain uint64 // in blocks
	randomLeft              uint32 // areas that are not in use
}

const (
	defaultZone    = 128 << 20
	extensionUnit  = 64
	sameAsBlock    = math.MaxUint64
	maxRandomAreas = math.MaxUint16 // blocks in one, and in its grain
)

// checkZones checks the options, and completes them.
func (o *zoneOptions) checkZones(block uint64) error {
	if !o.Zoned {
		return nil
	}
	if o.MaxActive != 0 {
		if o.MaxOpen > o.MaxActive {
			return fmt.Errorf("max_open_zones (%d) exceeds max_active_zones (%d)", o.MaxOpen, o.MaxActive)
		}
		if o.MaxOpen == 0 {
			o.MaxOpen = o.MaxActive
		}
	}
	switch {
	case o.ExtensionSize%extensionUnit != 0:
		return errors.New("zone descriptor extension size must be a multiple of 64B")
	case o.ExtensionSize/extensionUnit > math.MaxUint8:
		return errors.New("zone descriptor extension size is too large")
	case o.RandomSize == 0:
		return nil
	case uint64(o.RandomSize)%block != 0:
		return fmt.Errorf("zone random write area size (zoned.zrwas %d) must be a multiple of the logical block size (logical_block_size %d)", o.RandomSize, block)
	}
	if o.RandomGrain == sameAsBlock {
		o.RandomGrain = qdev.Size(block)
	}
	switch {
	case o.RandomGrain == 0 || o.RandomSize%o.RandomGrain != 0:
		return fmt.Errorf("zone random write area size (zoned.zrwas %d) must be a multiple of the zone random write area flush granularity (zoned.zrwafg, %d)", o.RandomSize, o.RandomGrain)
	case uint64(o.RandomGrain)%block != 0 || uint64(o.RandomSize)/block > maxRandomAreas:
		return fmt.Errorf("zone random write area size (zoned.zrwas %d) must be at most %d logical blocks, and its flush granularity whole blocks", o.RandomSize, maxRandomAreas)
	case o.MaxActive != 0 && o.RandomAreas > o.MaxActive:
		return fmt.Errorf("number of zone random write area resources (zoned.numzrwa, %d) must be less than or equal to maximum active resources (zoned.max_active_zones, %d)", o.RandomAreas, o.MaxActive)
	}
	return nil
}

// newZones divides blocks, of 1<<shift bytes, into zones.
func newZones(o zoneOptions, blocks uint64, shift uint) (*zones, error) {
	size := uint64(o.Size)
	if size == 0 {
		size = defaultZone
	}
	capacity := uint64(o.Capacity)
	if capacity == 0 {
		capacity = size
	}
	block := uint64(1) << shift
	switch {
	case capacity > size:
		return nil, fmt.Errorf("zone capacity %dB exceeds zone size %dB", capacity, size)
	case size < block:
		return nil, fmt.Errorf("zone size %dB too small, must be at least %dB", size, block)
	case capacity < block:
		return nil, fmt.Errorf("zone capacity %dB too small, must be at least %dB", capacity, block)
	}
	z := &zones{zoneOptions: o, size: size >> shift, capacity: capacity >> shift}
	n := blocks / z.size
	if n == 0 {
		return nil, fmt.Errorf("insufficient drive capacity, must be at least the size of one zone (%dB)", size)
	}
	z.list, z.extensions = make([]zone, n), make([]byte, n*uint64(o.ExtensionSize))
	for i := range z.list {
		start := uint64(i) * z.size
		z.list[i] = zone{state: zoneEmpty, start: start, written: start, next: start}
	}
	if o.RandomSize != 0 {
		z.randomSize, z.randomGrain, z.randomLeft = uint64(o.RandomSize)>>shift, uint64(o.RandomGrain)>>shift, o.RandomAreas
		if o.RandomAreas == 0 {
			z.randomLeft = uint32(n)
		}
	}
	return z, nil
}

// blocks is the size of all zones.
func (z *zones) blocks() uint64 { return uint64(len(z.list)) * z.size }

// of is the zone of a block. Preconditions: there is the block.
func (z *zones) of(block uint64) *zone { return &z.list[block/z.size] }

// end is the block after those of a zone that can be written.
func (z *zones) end(x *zone) uint64 { return x.start + z.capacity }

// extension is that of a zone's descriptor.
func (z *zones) extension(x *zone) []byte {
	n := uint64(z.ExtensionSize)
	return z.extensions[x.start/z.size*n:][:n]
}

// in lists the zones in some states, those first that got theirs first.
func (z *zones) in(states ...zoneState) (list []*zone) {
	for i := range z.list {
		if slices.Contains(states, z.list[i].state) {
			list = append(list, &z.list[i])
		}
	}
	slices.SortFunc(list, func(a, b *zone) int { return cmp.Compare(a.since, b.since) })
	return list
}

// set puts a zone into a state and keeps count.
func (z *zones) set(x *zone, s zoneState) {
	count := func(n *uint32, was, is bool) {
		switch {
		case is && !was:
			*n++
		case was && !is:
			*n--
		}
	}
	count(&z.open, x.state.open(), s.open())
	count(&z.active, x.state.active(), s.active())
	z.changes++
	x.state, x.since = s, z.changes
	if !s.active() && x.attributes&zoneRandom != 0 {
		x.attributes &^= zoneRandom
		z.randomLeft++
	}
	if s == zoneEmpty {
		x.attributes = 0
	}
}

// enter makes a zone open: by command, or implicitly for a write; random gives it a random write area. With replace a zone that is
// implicitly open is closed for it where there are too many.
func (z *zones) enter(x *zone, implicitly, random, replace bool) status {
	switch x.state {
	case zoneFull:
		return badTransition
	case zoneEmpty, zoneClosed:
		if replace && z.MaxOpen != 0 && z.open == z.MaxOpen {
			if list := z.in(zoneImplicitlyOpen); len(list) > 0 {
				z.set(list[0], zoneClosed)
			}
		}
		switch {
		case z.MaxActive != 0 && x.state == zoneEmpty && z.active >= z.MaxActive:
			return tooManyActive | dnr
		case z.MaxOpen != 0 && z.open >= z.MaxOpen:
			return tooManyOpen | dnr
		case random && z.randomLeft == 0:
			return noRandomArea
		}
		if implicitly {
			z.set(x, zoneImplicitlyOpen)
		}
	}
	if implicitly {
		return success
	}
	if x.state != zoneExplicitlyOpen {
		z.set(x, zoneExplicitlyOpen)
	}
	if random && x.attributes&zoneRandom == 0 {
		if z.randomLeft == 0 {
			return noRandomArea
		}
		z.randomLeft--
		x.attributes |= zoneRandom
	}
	return success
}

func (z *zones) close(x *zone) status {
	switch {
	case x.state.open():
		z.set(x, zoneClosed)
	case x.state != zoneClosed:
		return badTransition
	}
	return success
}

func (z *zones) finish(x *zone) status {
	if x.state != zoneFull {
		z.set(x, zoneFull)
	}
	return success
}

func (z *zones) reset(x *zone) {
	if x.state != zoneEmpty {
		x.written, x.next = x.start, x.start
		z.set(x, zoneEmpty)
	}
}

// extend makes the extension of a zone's descriptor valid.
func (z *zones) extend(x *zone) status {
	switch {
	case x.state != zoneEmpty:
		return badTransition
	case z.MaxActive != 0 && z.active >= z.MaxActive:
		return tooManyActive | dnr
	}
	z.set(x, zoneClosed)
	x.attributes |= zoneExtended
	return success
}

// shutdown closes zones; those that are as good as empty become so.
func (z *zones) shutdown() {
	for _, x := range z.in(zoneClosed, zoneImplicitlyOpen, zoneExplicitlyOpen) {
		x.next = x.written
		if x.written != x.start || x.attributes&zoneExtended != 0 {
			z.set(x, zoneClosed)
		} else {
			z.set(x, zoneEmpty)
		}
	}
}

// checkWrite tells whether blocks of a zone can be written now.
func (z *zones) checkWrite(x *zone, first uint64, count uint32) status {
	last := first + uint64(count)
	switch random := x.attributes&zoneRandom != 0; {
	case x.state == zoneFull:
		return zoneIsFull
	case random && (first < x.next || last > x.next+2*z.randomSize), !random && first != x.next:
		return badZoneWrite
	case last > z.end(x):
		return zoneBoundary
	}
	return success
}

// checkRead tells whether blocks, which there are, can be read by one command.
func (z *zones) checkRead(first uint64, count uint32) status {
	if !z.CrossRead && first/z.size != (first+uint64(count)-1)/z.size {
		return zoneBoundary
	}
	return success
}

// begin notes that blocks of an open zone are going to be written, and done that they are.
func (z *zones) begin(x *zone, count uint32) {
	if x.attributes&zoneRandom == 0 {
		x.next += uint64(count)
	}
}

func (z *zones) done(x *zone, first uint64, count uint32) {
	if x.attributes&zoneRandom == 0 {
		z.advance(x, uint64(count))
		return
	}
	if beyond := first + uint64(count); beyond > x.next+z.randomSize { // the area moves on
		n := beyond - x.next - z.randomSize
		n = (n + z.randomGrain - 1) / z.randomGrain * z.randomGrain
		x.next += n
		z.advance(x, n)
	}
}

// advance moves the place up to which a zone is written. The zone may have been reset meanwhile.
func (z *zones) advance(x *zone, n uint64) {
	if x.state == zoneEmpty || x.state == zoneFull {
		return
	}
	if x.written = min(x.written+n, z.end(x)); x.written == z.end(x) {
		z.finish(x)
	}
}
