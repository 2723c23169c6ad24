package ring

import "fmt"

// Chain is a chain of descriptors of a split queue as it lies in memory, right or wrong.
type Chain struct {
	Head                uint16
	Descs               []Desc
	AvailFlags, AvailAt uint16
	UsedFlags, UsedAt   uint16
}

// Desc is a descriptor.
type Desc struct {
	Addr  uint64
	Len   uint32
	Flags uint16
}

// Look reads the chain that the entry at an index of the available ring begins, without taking it; nil means the next to be taken. It
// follows at most MaxSize descriptors. The errors are QEMU's where it has one.
func (q *Queue) Look(index *uint16) (*Chain, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Packed {
		return nil, Error("Packed ring not supported")
	}
	if q.cfg.Num == 0 || q.remap() != nil {
		return nil, Error("Region caches not initialized")
	}
	at := q.pos.Avail.Index
	if index != nil {
		at = *index
	}
	avail, used := loadPair(q.m.avail), loadPair(q.m.used)
	c := &Chain{
		Head:       le.Uint16(q.m.avail[availRing+2*int(at&(q.cfg.Num-1)):]),
		AvailFlags: uint16(avail), AvailAt: uint16(avail >> 16), UsedFlags: uint16(used), UsedAt: uint16(used >> 16),
	}
	if c.Head >= q.cfg.Num {
		return nil, Error(fmt.Sprintf("Guest says index %d is available", c.Head))
	}
	t := table{q.m.desc, uint32(q.cfg.Num)}
	addr, n, flags, next := t.entry(uint32(c.Head))
	if flags&flagIndirect != 0 {
		var err error
		if t, err = q.indirect(addr, n); err != nil {
			return nil, err
		}
		addr, n, flags, next = t.entry(0)
	}
	for {
		c.Descs = append(c.Descs, Desc{addr, n, flags})
		if flags&flagNext == 0 || uint32(next) >= t.max || len(c.Descs) >= int(min(t.max, MaxSize)) {
			return c, nil
		}
		addr, n, flags, next = t.entry(uint32(next))
	}
}

// DescFlags are the names of the flags of a descriptor, the highest first.
func DescFlags(flags uint16) []string {
	names := []string{}
	for _, f := range []struct {
		bit  uint16
		name string
	}{{flagUsed, "used"}, {flagAvail, "avail"}, {flagIndirect, "indirect"}, {flagWrite, "write"}, {flagNext, "next"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// Seen is the driver's index as last seen; in a packed queue, which has none, the place of the next chain to take.
func (q *Queue) Seen() uint16 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Packed {
		return q.pos.Avail.Index
	}
	return q.avail
}
