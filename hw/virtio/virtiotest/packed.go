package virtiotest

import (
	"goemu/hw/virtio/ring"
	"goemu/internal/memory"
)

// Flags of a packed queue's descriptors and of its event suppression (virtio 1.2, section 2.8).
const (
	FlagAvail = 1 << 7
	FlagUsed  = 1 << 15

	EventEnable  = 0
	EventDisable = 1
	EventDesc    = 2
)

// PackedDriver is the guest's side of one packed queue.
type PackedDriver struct {
	Mem *memory.AddressSpace
	Cfg ring.Config

	Free     int // descriptors
	next     int // place of the next one to make available
	wrap     bool
	used     int // place of the next one to see as used
	usedWrap bool
	id       uint16
	descs    map[uint16]int // of the chains that are out
}

// NewPackedDriver lays a queue out from base on.
func NewPackedDriver(mem *memory.AddressSpace, base uint64, num uint16, eventIdx bool) *PackedDriver {
	d := &PackedDriver{Mem: mem, Free: int(num), wrap: true, usedWrap: true, descs: map[uint16]int{}}
	d.Cfg = ring.Config{Num: num, Desc: base, Avail: base + 16*uint64(num), Used: base + 16*uint64(num) + 4, EventIdx: eventIdx, Packed: true}
	mem.Write(base, make([]byte, 16*int(num)+8))
	return d
}

// Put writes a descriptor of a table at table; flags come last, as the device may look at once.
func (d *PackedDriver) Put(table uint64, i int, b Buf, id, flags uint16) {
	var raw [14]byte
	le.PutUint64(raw[:], b.Addr)
	le.PutUint32(raw[8:], b.Len)
	le.PutUint16(raw[12:], id)
	if b.Write {
		flags |= FlagWrite
	}
	at := table + 16*uint64(i)
	d.Mem.Write(at, raw[:])
	d.Mem.Store(at+14, 2, uint64(flags))
}

// owner are the flags of a descriptor that is made available in this turn.
func owner(wrap bool) uint16 {
	if wrap {
		return FlagAvail
	}
	return FlagUsed
}

// Add makes a chain available and returns its identity. The first descriptor is written last.
func (d *PackedDriver) Add(bufs ...Buf) uint16 {
	type entry struct {
		at    int
		flags uint16
	}
	var list []entry
	for i := range bufs {
		e := entry{d.next, owner(d.wrap)}
		if i+1 < len(bufs) {
			e.flags |= FlagNext
		}
		list = append(list, e)
		d.step()
	}
	id := d.newID(len(bufs))
	for i := len(bufs) - 1; i >= 0; i-- {
		d.Put(d.Cfg.Desc, list[i].at, bufs[i], id, list[i].flags)
	}
	return id
}

// AddIndirect makes a chain available through a table that is placed at table.
func (d *PackedDriver) AddIndirect(table uint64, bufs ...Buf) uint16 {
	for i, b := range bufs {
		d.Put(table, i, b, 0, 0)
	}
	at, flags := d.next, owner(d.wrap)|FlagIndirect
	d.step()
	id := d.newID(1)
	d.Put(d.Cfg.Desc, at, Buf{Addr: table, Len: uint32(16 * len(bufs))}, id, flags)
	return id
}

func (d *PackedDriver) step() {
	if d.next++; d.next == int(d.Cfg.Num) {
		d.next, d.wrap = 0, !d.wrap
	}
}

// newID is an identity that need not be smaller than the queue.
func (d *PackedDriver) newID(descs int) uint16 {
	d.id += 0x1001
	d.descs[d.id] = descs
	d.Free -= descs
	return d.id
}

// MustKick tells whether the device wants to be notified of the chain whose first descriptor is at a place, made available in a turn.
func (d *PackedDriver) MustKick(at int, wrap bool) bool {
	event, _ := d.Mem.Load(d.Cfg.Used, 4)
	switch event >> 16 {
	case EventEnable:
		return true
	case EventDisable:
		return false
	}
	return int(event&0x7fff) == at && event&0x8000 != 0 == wrap
}

// Place is where the next chain will begin.
func (d *PackedDriver) Place() (at int, wrap bool) { return d.next, d.wrap }

// SetEvent writes the driver's event suppression.
func (d *PackedDriver) SetEvent(at int, wrap bool, flags uint16) {
	v := uint64(at) | uint64(flags)<<16
	if wrap {
		v |= 0x8000
	}
	d.Mem.Store(d.Cfg.Avail, 4, v)
}

// UsedPlace is where the next used descriptor will be.
func (d *PackedDriver) UsedPlace() (at int, wrap bool) { return d.used, d.usedWrap }

// Next returns the next used chain.
func (d *PackedDriver) Next() (id uint16, written uint32, ok bool) {
	at := d.Cfg.Desc + 16*uint64(d.used)
	flags, _ := d.Mem.Load(at+14, 2)
	if avail := flags&FlagAvail != 0; avail != (flags&FlagUsed != 0) || avail != d.usedWrap {
		return 0, 0, false
	}
	n, _ := d.Mem.Load(at+8, 4)
	v, _ := d.Mem.Load(at+12, 2)
	id = uint16(v)
	descs := d.descs[id]
	delete(d.descs, id)
	d.Free += descs
	if d.used += descs; d.used >= int(d.Cfg.Num) {
		d.used, d.usedWrap = d.used-int(d.Cfg.Num), !d.usedWrap
	}
	return id, uint32(n), true
}
