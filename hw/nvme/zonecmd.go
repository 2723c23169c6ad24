package nvme

import (
	"context"

	"goemu/block"
)

// Commands of the Zoned Namespace command set (section 3).
const (
	cmdZoneSend    = 0x79
	cmdZoneReceive = 0x7a
	cmdZoneAppend  = 0x7d
)

// zonedEffects are the commands there are for zoned namespaces.
var zonedEffects = func() map[uint8]uint32 {
	m := map[uint8]uint32{cmdZoneAppend: effSupported | effContents, cmdZoneSend: effSupported | effContents, cmdZoneReceive: effSupported}
	for op, e := range ioEffects {
		m[op] = e
	}
	return m
}()

// What is to be done with a zone.
const (
	actionClose  = 0x01
	actionFinish = 0x02
	actionOpen   = 0x03
	actionReset  = 0x04
	actionOff    = 0x05
	actionExtend = 0x10
	actionFlush  = 0x11

	zoneSelectAll = 1 << 0
	zoneAllocate  = 1 << 1 // a random write area
)

// sendToZone does something with a zone, or with all that it concerns.
func (c *Controller) sendToZone(r *request) status {
	z, action, flags := r.ns.zones, r.dw(13)&0xff, r.dw(13)>>8
	all := flags&zoneSelectAll != 0
	first := r.dw64(10)
	if all {
		first = 0
	} else if first >= z.blocks() {
		return lbaRange
	}
	x := z.of(first)
	if first != x.start && action != actionFlush {
		return invalidField
	}
	switch action {
	case actionOpen:
		return z.each(x, all, func(x *zone) status { return c.openZone(z, x, flags&zoneAllocate != 0) }, zoneClosed)
	case actionClose:
		return z.each(x, all, z.close, zoneImplicitlyOpen, zoneExplicitlyOpen)
	case actionFinish:
		return z.each(x, all, z.finish, zoneClosed, zoneImplicitlyOpen, zoneExplicitlyOpen)
	case actionReset:
		if all {
			return c.resetZones(r, z.in(zoneImplicitlyOpen, zoneExplicitlyOpen, zoneClosed, zoneFull))
		}
		return c.resetZones(r, []*zone{x})
	case actionOff: // zones that can only be read, of which there are none
		return z.each(x, all, func(*zone) status { return badTransition })
	case actionExtend:
		return c.extendZone(r, x, all)
	case actionFlush:
		return c.flushArea(z, x, first, all)
	}
	return invalidField
}

// each does something with a zone, or with those in some states until that fails.
func (z *zones) each(x *zone, all bool, f func(x *zone) status, states ...zoneState) status {
	list := []*zone{x}
	if all {
		list = nil
		for _, s := range states {
			list = append(list, z.in(s)...)
		}
	}
	for _, x := range list {
		if s := f(x); s != success {
			return s | dnr
		}
	}
	return success
}

func (c *Controller) openZone(z *zones, x *zone, random bool) status {
	switch {
	case random && z.randomSize == 0:
		return badZoneOperation
	case random && x.next%z.randomGrain != 0:
		return noRandomArea
	}
	return z.enter(x, false, random, c.AutoTransition)
}

// resetZones makes zones empty, one after the other.
func (c *Controller) resetZones(r *request, list []*zone) status {
	z, b, shift := r.ns.zones, r.ns.backend, r.ns.shift
	done := 0
	r.sq.jobs.Go(func() error {
		for _, x := range list {
			if err := b.WriteZeroes(context.Background(), int64(x.start<<shift), int64(z.size<<shift), block.MayUnmap); err != nil {
				return err
			}
			done++
		}
		return nil
	}, func(err error) {
		for _, x := range list[:done] {
			z.reset(x)
		}
		s := success
		if err != nil {
			s = internalError
		}
		c.complete(r, s)
	})
	return pending
}

// extendZone takes the extension of a zone's descriptor.
func (c *Controller) extendZone(r *request, x *zone, all bool) status {
	z := r.ns.zones
	if all || z.ExtensionSize == 0 {
		return invalidField
	}
	b, s := c.fetch(r, int(z.ExtensionSize))
	if s != success {
		return s
	}
	if s := z.extend(x); s != success {
		return s | dnr
	}
	copy(z.extension(x), b)
	return success
}

// flushArea writes what is in a zone's random write area up to a block: the area moves on.
func (c *Controller) flushArea(z *zones, x *zone, last uint64, all bool) status {
	switch {
	case all:
		return invalidField
	case z.randomSize == 0:
		return badZoneOperation
	case x.attributes&zoneRandom == 0:
		return invalidField
	case last < x.written || last > x.written+z.randomSize:
		return zoneBoundary | dnr
	}
	n := last - x.written + 1
	if uint64(uint32(n))%z.randomGrain != 0 {
		return invalidField
	}
	if s := z.enter(x, true, false, c.AutoTransition); s != success {
		return s
	}
	x.next += n
	z.advance(x, n)
	return success
}

// Reports (section 3.4.2): a header with le64 zones, and descriptors of u8 type, state, attributes, five bytes, le64 capacity, start, place
// of the next write.
const (
	reportPlain    = 0
	reportExtended = 1
	reportBytes    = 64
	descriptor     = 64
	sequential     = 2
	noPlace        = ^uint64(0)
)

// reportFilters are the states that may be asked for; zones that can only be read or not even that, which are the last, there are none.
var reportFilters = [...]zoneState{0: 0, 1: zoneEmpty, 2: zoneImplicitlyOpen, 3: zoneExplicitlyOpen, 4: zoneClosed, 5: zoneFull, 6: 0xff, 7: 0xff}

// reportZones describes zones from one on.
func (c *Controller) reportZones(r *request) status {
	z, first := r.ns.zones, r.dw64(10)
	size := (r.dw(12) + 1) << 2
	kind, filter, partial := r.dw(13)&0xff, r.dw(13)>>8&0xff, r.dw(13)>>16&1 != 0
	switch {
	case first >= z.blocks():
		return lbaRange
	case kind > reportExtended, kind == reportExtended && z.ExtensionSize == 0, filter >= uint32(len(reportFilters)), size < reportBytes:
		return invalidField
	}
	if s := c.checkLimit(uint64(size)); s != success {
		return s
	}
	entry := uint64(descriptor)
	if kind == reportExtended {
		entry += uint64(z.ExtensionSize)
	}
	room := (uint64(size) - reportBytes) / entry
	rest := z.list[first/z.size:]
	b := make([]byte, min(uint64(size), reportBytes+uint64(len(rest))*entry))
	count := uint64(0)
	for i := range rest {
		x := &rest[i]
		if want := reportFilters[filter]; want != 0 && want != x.state {
			continue
		}
		if count < room {
			z.describe(x, b[reportBytes+count*entry:][:entry])
		} else if partial {
			break
		}
		count++
	}
	le.PutUint64(b, count)
	return c.reply(r, b)
}

// describe fills a descriptor, and its extension if there is room for one.
func (z *zones) describe(x *zone, b []byte) {
	b[0], b[1], b[2] = sequential, uint8(x.state)<<4, x.attributes
	le.PutUint64(b[8:], z.capacity)
	le.PutUint64(b[16:], x.start)
	place := x.written
	if x.state == zoneFull {
		place = noPlace
	}
	le.PutUint64(b[24:], place)
	if x.attributes&zoneExtended != 0 && len(b) > descriptor {
		copy(b[descriptor:], z.extension(x))
	}
}

// writeZone does a command that writes blocks, and what else has to be done for that in a zoned namespace: write is given the blocks and
// returns what the command comes to.
func (c *Controller) writeZone(r *request, append bool, write func(x extent) status) status {
	first, count := r.blocks()
	x, s := r.ns.check(first, count)
	z := r.ns.zones
	if s != success || z == nil {
		if s != success {
			return s
		}
		return write(x)
	}
	in := z.of(first)
	if append {
		switch limit := c.page << c.AppendLimit; {
		case in.attributes&zoneRandom != 0:
			return badZoneOperation
		case first != in.start, c.AppendLimit != 0 && uint64(count)<<r.ns.shift > limit:
			return invalidField
		}
		first = in.next
		r.result = first
		x.off = int64(first << r.ns.shift)
	}
	if s = z.checkWrite(in, first, count); s == success {
		s = z.enter(in, true, false, c.AutoTransition)
	}
	if s != success {
		return s | dnr
	}
	r.written = func() { z.done(in, first, count) }
	if s = write(x); s != pending {
		r.written = nil
		return s
	}
	z.begin(in, count)
	return pending
}

// identifyZones fills the structure of a zoned namespace (section 4.1.5.1).
func (n *Namespace) identifyZones(b []byte) {
	const crossRead, random, flushes = 1 << 0, 1 << 1, 1
	z := n.zones
	le.PutUint32(b[4:], z.MaxActive-1)
	le.PutUint32(b[8:], z.MaxOpen-1)
	can := uint16(0)
	if z.CrossRead {
		can |= crossRead
	}
	if z.randomSize != 0 {
		can |= random
		le.PutUint32(b[44:], z.RandomAreas)
		le.PutUint16(b[48:], uint16(z.randomGrain))
		le.PutUint16(b[50:], uint16(z.randomSize))
		b[52] = flushes
	}
	le.PutUint16(b[2:], can)
	const formats, format = 2816, 16
	for i := range n.nformats {
		le.PutUint64(b[formats+format*i:], z.size)
		b[formats+format*i+8] = uint8(z.ExtensionSize / extensionUnit)
	}
}
