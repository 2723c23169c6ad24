package nvme

import (
	"math"

	"goemu/hw/disk"
	"goemu/internal/memory"
)

// checkLimit refuses transfers beyond the controller's limit.
func (c *Controller) checkLimit(n uint64) status {
	if c.MaxData != 0 && n > c.page<<c.MaxData {
		return invalidField
	}
	return success
}

// mapData lists the memory that a command's n bytes are in.
func (c *Controller) mapData(r *request, n uint64) status {
	r.sg = disk.SG{Space: c.space}
	switch r.cmd[cmdFlags] & flagSGL {
	case 0:
		return c.mapPRP(r, n)
	case flagSGLData, flagSGLBoth:
		if r.sq.id == 0 {
			return invalidField
		}
		return c.mapSGL(r, n)
	}
	return invalidField
}

// add adds memory to a command's data; the controller's own registers are none.
func (c *Controller) add(r *request, addr, n uint64) status {
	if own, at, ok := c.BAR(0); ok && addr-at < own.Size() {
		return transferError
	}
	r.sg.Add(addr, n)
	return success
}

// mapPRP follows the pages that a command names, each one once: pages after the first are whole.
func (c *Controller) mapPRP(r *request, n uint64) status {
	prp1, prp2 := le.Uint64(r.cmd[cmdPRP1:]), le.Uint64(r.cmd[cmdPRP2:])
	first := min(n, c.page-prp1%c.page)
	if s := c.add(r, prp1, first); s != success {
		return s
	}
	if n -= first; n == 0 {
		return success
	}
	if n <= c.page {
		if prp2%c.page != 0 {
			return badPRPOffset
		}
		return c.add(r, prp2, n)
	}
	const entry = 8
	count := (c.page - prp2%c.page) / entry
	list := make([]byte, min(count*entry, c.page))
	if c.space.Read(prp2, list) != memory.OK {
		return transferError
	}
	for i := uint64(0); n > 0; i++ {
		p := le.Uint64(list[i*entry:])
		if i == uint64(len(list))/entry-1 && n > c.page { // the last entry names the next list
			if p%c.page != 0 {
				return badPRPOffset
			}
			list = make([]byte, min((n+c.page-1)/c.page, c.page/entry)*entry)
			if c.space.Read(p, list) != memory.OK {
				return transferError
			}
			i, p = 0, le.Uint64(list)
		}
		if p%c.page != 0 {
			return badPRPOffset
		}
		step := min(n, c.page)
		if s := c.add(r, p, step); s != success {
			return s
		}
		n -= step
	}
	return success
}

// Scatter/gather lists (section 4.4): le64 address, le32 length, three bytes, type.
const (
	sglEntry       = 16
	sglType        = 15
	sglData        = 0
	sglSegment     = 2
	sglLastSegment = 3
	sglChunk       = 256 // descriptors read at once
	sglMax         = 1 << 16
)

// mapSGL follows a list of descriptors. There is a limit to their number, which guards against lists without end.
func (c *Controller) mapSGL(r *request, n uint64) status {
	d := r.cmd[cmdPRP1 : cmdPRP1+sglEntry]
	if d[sglType]>>4 == sglData {
		if s := c.mapDescriptors(r, d, &n); s != success {
			return s
		}
		return lengthLeft(n)
	}
	for left := sglMax; ; {
		typ, addr, size := d[sglType]>>4, le.Uint64(d), uint64(le.Uint32(d[8:]))
		switch {
		case typ != sglSegment && typ != sglLastSegment, size == 0, size%sglEntry != 0:
			return badSGLSegment
		case math.MaxUint64-addr < size:
			return badSGLLength
		}
		var seg []byte
		for size > 0 {
			part := min(size, sglChunk*sglEntry)
			if left -= int(part / sglEntry); left < 0 {
				return badSGLCount
			}
			seg = make([]byte, part)
			if c.space.Read(addr, seg) != memory.OK {
				return transferError
			}
			if size -= part; size == 0 {
				break
			}
			if s := c.mapDescriptors(r, seg, &n); s != success {
				return s
			}
			addr += part
		}
		last := seg[len(seg)-sglEntry:]
		if last[sglType]>>4 == sglData {
			if s := c.mapDescriptors(r, seg, &n); s != success {
				return s
			}
			return lengthLeft(n)
		}
		if typ == sglLastSegment {
			return badSGLSegment
		}
		if s := c.mapDescriptors(r, seg[:len(seg)-sglEntry], &n); s != success {
			return s
		}
		d = last
	}
}

func lengthLeft(n uint64) status {
	if n != 0 {
		return badSGLLength
	}
	return success
}

// mapDescriptors adds descriptors of data, of which n bytes are left.
func (c *Controller) mapDescriptors(r *request, list []byte, n *uint64) status {
	for ; len(list) > 0; list = list[sglEntry:] {
		addr, size := le.Uint64(list), uint64(le.Uint32(list[8:]))
		switch typ := list[sglType] >> 4; {
		case typ == sglSegment || typ == sglLastSegment:
			return badSGLCount
		case typ != sglData:
			return badSGLType
		case size == 0:
			continue
		case *n == 0 || math.MaxUint64-addr < size:
			return badSGLLength
		}
		size = min(size, *n)
		if s := c.add(r, addr, size); s != success {
			return s
		}
		*n -= size
	}
	return success
}

// reply sends a structure to the driver.
func (c *Controller) reply(r *request, b []byte) status {
	if s := c.mapData(r, uint64(len(b))); s != success {
		return s
	}
	if !store(&r.sg, b) {
		return transferError
	}
	return success
}

// fetch gets a structure from the driver.
func (c *Controller) fetch(r *request, n int) ([]byte, status) {
	if s := c.mapData(r, uint64(n)); s != success {
		return nil, s
	}
	b := make([]byte, n)
	if !load(&r.sg, b) {
		return nil, transferError
	}
	return b, success
}

// store copies b to a list of the same length, and load from it; they return false if there is no memory.
func store(sg *disk.SG, b []byte) bool {
	for _, r := range sg.Ranges {
		if sg.Space.Write(r.Addr, b[:r.Len]) != memory.OK {
			return false
		}
		b = b[r.Len:]
	}
	return true
}

func load(sg *disk.SG, b []byte) bool {
	for _, r := range sg.Ranges {
		if sg.Space.Read(r.Addr, b[:r.Len]) != memory.OK {
			return false
		}
		b = b[r.Len:]
	}
	return true
}
