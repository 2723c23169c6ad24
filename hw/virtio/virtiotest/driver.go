// Package virtiotest is a guest's driver for virtqueues, for tests of the device's side.
package virtiotest

import (
	"encoding/binary"
	"testing"

	"goemu/hw/virtio/ring"
	"goemu/internal/memory"
)

var le = binary.LittleEndian

// Descriptor flags (virtio 1.2, section 2.7.5).
const (
	FlagNext     = 1
	FlagWrite    = 2
	FlagIndirect = 4
)

// RAMSize is the guest memory of NewMemory.
const RAMSize = 4 << 20

// NewMemory returns an address space with RAM from address 0.
func NewMemory(t testing.TB) *memory.AddressSpace {
	t.Helper()
	ram, err := memory.NewRAM("ram", RAMSize)
	if err != nil {
		t.Fatal(err)
	}
	root := memory.NewContainer("system", memory.Whole)
	root.Add(ram, 0, 0)
	return memory.NewAddressSpace("memory", root)
}

// Buf is a guest buffer.
type Buf struct {
	Addr  uint64
	Len   uint32
	Write bool // the device writes it
}

// Driver is the guest's side of one queue. Addresses in it may be changed to break it.
type Driver struct {
	Mem      *memory.AddressSpace
	Cfg      ring.Config
	EventIdx bool

	free     []uint16
	chains   map[uint16][]uint16
	AvailIdx uint16
	UsedIdx  uint16
	Pending  int // chains that were made available and not seen as used
}

// NewDriver lays a queue out from base on.
func NewDriver(mem *memory.AddressSpace, base uint64, num uint16, eventIdx bool) *Driver {
	d := &Driver{Mem: mem, EventIdx: eventIdx, chains: map[uint16][]uint16{}}
	d.Cfg = ring.Config{Num: num, Desc: base, EventIdx: eventIdx, Indirect: true}
	d.Cfg.Avail, d.Cfg.Used = ring.LegacyLayout(base, uint32(num), ring.LegacyAlign)
	for i := range num {
		d.free = append(d.free, num-1-i)
	}
	mem.Write(base, make([]byte, 32*int(num)+16384))
	return d
}

// PutDesc writes a descriptor of a table at table.
func (d *Driver) PutDesc(table uint64, i int, b Buf, flags, next uint16) {
	var raw [16]byte
	le.PutUint64(raw[:], b.Addr)
	le.PutUint32(raw[8:], b.Len)
	if b.Write {
		flags |= FlagWrite
	}
	le.PutUint16(raw[12:], flags)
	le.PutUint16(raw[14:], next)
	d.Mem.Write(table+16*uint64(i), raw[:])
}

// Free is the number of free descriptors.
func (d *Driver) Free() int { return len(d.free) }

// Add makes a chain available and returns its head.
func (d *Driver) Add(bufs ...Buf) uint16 {
	var ids []uint16
	for range bufs {
		ids = append(ids, d.free[len(d.free)-1])
		d.free = d.free[:len(d.free)-1]
	}
	for i, b := range bufs {
		var flags, next uint16
		if i+1 < len(bufs) {
			flags, next = FlagNext, ids[i+1]
		}
		d.PutDesc(d.Cfg.Desc, int(ids[i]), b, flags, next)
	}
	d.chains[ids[0]] = ids
	d.Publish(ids[0])
	return ids[0]
}

// AddIndirect makes a chain available through a table that is placed at table.
func (d *Driver) AddIndirect(table uint64, bufs ...Buf) uint16 {
	for i, b := range bufs {
		var flags, next uint16
		if i+1 < len(bufs) {
			flags, next = FlagNext, uint16(i+1)
		}
		d.PutDesc(table, i, b, flags, next)
	}
	id := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	d.PutDesc(d.Cfg.Desc, int(id), Buf{Addr: table, Len: uint32(16 * len(bufs))}, FlagIndirect, 0)
	d.chains[id] = []uint16{id}
	d.Publish(id)
	return id
}

// Publish puts a head in the available ring.
func (d *Driver) Publish(head uint16) {
	d.Mem.Store(d.Cfg.Avail+4+2*uint64(d.AvailIdx%d.Cfg.Num), 2, uint64(head))
	d.AvailIdx++
	d.Pending++
	d.Mem.Store(d.Cfg.Avail+2, 2, uint64(d.AvailIdx))
}

// MustKick tells whether the device wants to be notified after the index moved from old.
func (d *Driver) MustKick(old uint16) bool {
	if !d.EventIdx {
		flags, _ := d.Mem.Load(d.Cfg.Used, 2)
		return flags&1 == 0
	}
	ev, _ := d.Mem.Load(d.Cfg.Used+4+8*uint64(d.Cfg.Num), 2)
	return d.AvailIdx-uint16(ev)-1 < d.AvailIdx-old
}

// SetNoInterrupt sets or clears the flag that suppresses interrupts.
func (d *Driver) SetNoInterrupt(on bool) {
	v := uint64(0)
	if on {
		v = 1
	}
	d.Mem.Store(d.Cfg.Avail, 2, v)
}

// SetUsedEvent asks for an interrupt when the used index passes n.
func (d *Driver) SetUsedEvent(n uint16) {
	d.Mem.Store(d.Cfg.Avail+4+2*uint64(d.Cfg.Num), 2, uint64(n))
}

// Next returns the next used chain. If there is none, it asks for an interrupt at the next one.
func (d *Driver) Next() (head uint16, written uint32, ok bool) {
	idx, _ := d.Mem.Load(d.Cfg.Used+2, 2)
	if uint16(idx) == d.UsedIdx && d.EventIdx {
		d.SetUsedEvent(d.UsedIdx)
		idx, _ = d.Mem.Load(d.Cfg.Used+2, 2)
	}
	if uint16(idx) == d.UsedIdx {
		return 0, 0, false
	}
	at := d.Cfg.Used + 4 + 8*uint64(d.UsedIdx%d.Cfg.Num)
	id, _ := d.Mem.Load(at, 4)
	n, _ := d.Mem.Load(at+4, 4)
	d.UsedIdx++
	d.Pending--
	head = uint16(id)
	d.free = append(d.free, d.chains[head]...)
	delete(d.chains, head)
	return head, uint32(n), true
}
