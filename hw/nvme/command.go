package nvme

import (
	"bytes"
	"context"

	"goemu/block"
)

// command carries out a command of an I/O queue.
func (c *Controller) command(r *request) status {
	id := r.nsid()
	if !validNSID(id) {
		return invalidNSID
	}
	if r.opcode() == cmdFlush {
		return c.flush(r, id)
	}
	if r.ns = c.ns(id); r.ns == nil {
		return invalidField
	}
	switch {
	case c.effects(r.ns.csi())[r.opcode()] == 0:
		return invalidOpcode
	case r.ns.formatting:
		return formatRunning
	case r.cmd[cmdFlags]&flagFuse != 0:
		return invalidFieldTry
	}
	switch r.opcode() {
	case cmdRead:
		return c.read(r)
	case cmdWrite:
		return c.writeData(r)
	case cmdZeroes:
		return c.zeroes(r)
	case cmdCompare:
		return c.compare(r)
	case cmdDSM:
		return c.manage(r)
	case cmdVerify:
		return c.verify(r)
	case cmdZoneSend:
		return c.sendToZone(r)
	case cmdZoneReceive:
		return c.reportZones(r)
	case cmdZoneAppend:
		return c.append(r)
	}
	return c.copy(r)
}

// effects are the commands there are for namespaces of a command set.
func (c *Controller) effects(csi uint8) map[uint8]uint32 {
	switch sets := c.get32(regCC) >> ccSetsAt & 7; {
	case sets == setMany && csi == csiZoned:
		return zonedEffects
	case sets == setNVM, sets == setMany && csi == csiNVM:
		return ioEffects
	}
	return nil
}

// extent is a run of blocks in bytes.
type extent struct{ off, n int64 }

// check tells whether blocks are all in the namespace.
func (n *Namespace) check(first uint64, count uint32) (extent, status) {
	if first+uint64(count) < first || first+uint64(count) > n.blocks() {
		return extent{}, lbaRange
	}
	return extent{int64(first << n.shift), int64(count) << n.shift}, success
}

// blocks is what the common form of commands names: first block, and count less one.
func (r *request) blocks() (first uint64, count uint32) { return r.dw64(10), r.dw(12)&0xffff + 1 }

// span checks and maps the blocks of a command that transfers data.
func (c *Controller) span(r *request) (extent, status) {
	first, count := r.blocks()
	n := uint64(count) << r.ns.shift
	if s := c.checkLimit(n); s != success {
		return extent{}, s
	}
	x, s := r.ns.check(first, count)
	if s == success {
		s = c.mapData(r, n)
	}
	return x, s
}

// run does something with the disk on a goroutine and ends the command with its result.
func (c *Controller) run(r *request, kind block.Acct, n int64, f func(ctx context.Context) error, bad status) status {
	st := &r.ns.backend.Stats
	k := st.Start(kind, n)
	r.sq.jobs.Go(func() error { return f(context.Background()) }, func(err error) { c.ended(r, st, k, err, bad) })
	return pending
}

// outcome is a command's status as an error.
type outcome status

func (outcome) Error() string { return "the command has failed" }

// ended ends a command.
func (c *Controller) ended(r *request, st *block.Stats, k block.Cookie, err error, bad status) {
	s := success
	if err == nil {
		st.Done(k)
	} else {
		st.Fail(k)
		s = bad
		if o, ok := err.(outcome); ok {
			s = status(o)
		}
	}
	c.complete(r, s)
}

func (c *Controller) read(r *request) status {
	x, s := c.span(r)
	if first, count := r.blocks(); s == success && r.ns.zones != nil {
		s = r.ns.zones.checkRead(first, count)
	}
	if s != success {
		return s | dnr
	}
	b := r.ns.backend
	k := b.Stats.Start(block.AcctRead, x.n)
	transfer := func() status {
		r.sg.Read(&r.sq.jobs, b, x.off, func(err error) { c.ended(r, &b.Stats, k, err, readFault) })
		return pending
	}
	return c.unlessDeallocated(r, []extent{x}, deallocated|dnr, transfer)
}

// unlessDeallocated does what f does, unless the driver wants reads of deallocated blocks to fail and there is such a block; then bad is the
// result.
func (c *Controller) unlessDeallocated(r *request, list []extent, bad status, f func() status) status {
	if r.ns.recovery&recoverDeallocated == 0 {
		return f()
	}
	b := r.ns.backend
	r.sq.jobs.Go(func() error {
		for _, x := range list {
			for x.n > 0 {
				st, _, err := b.StatusAbove(context.Background(), nil, false, true, x.off, x.n)
				switch {
				case err != nil:
					return err
				case st.Flags&block.StatusZero != 0:
					return outcome(bad)
				}
				x.off, x.n = x.off+st.N, x.n-st.N
			}
		}
		return nil
	}, func(err error) {
		s := pending
		switch o, ok := err.(outcome); {
		case ok:
			s = status(o)
		case err != nil:
			s = internalError
		default:
			s = f()
		}
		if s != pending {
			c.complete(r, s)
		}
	})
	return pending
}

func (c *Controller) writeData(r *request) status { return c.writeBlocks(r, false) }

// append writes blocks where the last write to a zone has ended.
func (c *Controller) append(r *request) status { return c.writeBlocks(r, true) }

func (c *Controller) writeBlocks(r *request, append bool) status {
	_, count := r.blocks()
	n := uint64(count) << r.ns.shift
	if s := c.checkLimit(n); s != success {
		return s
	}
	return c.writeZone(r, append, func(x extent) status {
		if s := c.mapData(r, n); s != success {
			return s | dnr
		}
		b := r.ns.backend
		k := b.Stats.Start(block.AcctWrite, x.n)
		r.sg.Write(&r.sq.jobs, b, x.off, 0, func(err error) { c.ended(r, &b.Stats, k, err, writeFault) })
		return pending
	})
}

// zeroesUnmap says that blocks may be deallocated.
const zeroesUnmap = 1 << 25

func (c *Controller) zeroes(r *request) status {
	var fl block.Flags
	if r.dw(12)&zeroesUnmap != 0 {
		fl = block.MayUnmap
	}
	b := r.ns.backend
	return c.writeZone(r, false, func(x extent) status {
		return c.run(r, block.AcctWrite, 0, func(ctx context.Context) error { return b.WriteZeroes(ctx, x.off, x.n, fl) }, writeFault)
	})
}

func (c *Controller) compare(r *request) status {
	x, s := c.span(r)
	if s != success {
		return s
	}
	want := make([]byte, x.n)
	if !load(&r.sg, want) {
		return transferError
	}
	return c.unlessDeallocated(r, []extent{x}, deallocated, func() status {
		b := r.ns.backend
		return c.run(r, block.AcctRead, x.n, func(ctx context.Context) error {
			got := make([]byte, x.n)
			err := b.Read(ctx, x.off, got)
			if err == nil && !bytes.Equal(got, want) {
				err = outcome(compareFailed)
			}
			return err
		}, internalError)
	})
}

func (c *Controller) verify(r *request) status {
	first, count := r.blocks()
	if uint64(count)<<r.ns.shift > c.page<<c.MaxVerify {
		return invalidField
	}
	x, s := r.ns.check(first, count)
	if s != success {
		return s
	}
	return c.unlessDeallocated(r, []extent{x}, deallocated, func() status {
		b := r.ns.backend
		return c.run(r, block.AcctRead, x.n, func(ctx context.Context) error { return b.Read(ctx, x.off, make([]byte, x.n)) }, internalError)
	})
}

// Dataset management: an attribute, and ranges of le32 attributes, le32 blocks, le64 first block.
const (
	dsmDeallocate = 1 << 2
	dsmRange      = 16
)

// manage deallocates blocks. Ranges that cannot be are left out.
func (c *Controller) manage(r *request) status {
	if r.dw(11)&dsmDeallocate == 0 {
		return success
	}
	list, s := c.fetch(r, int(r.dw(10)&0xff+1)*dsmRange)
	if s != success {
		return s
	}
	var todo []extent
	for ; len(list) > 0; list = list[dsmRange:] {
		count := le.Uint32(list[4:])
		if x, s := r.ns.check(le.Uint64(list[8:]), count); s == success && count <= c.maxDiscard {
			todo = append(todo, x)
		}
	}
	b := r.ns.backend
	return c.run(r, block.AcctUnmap, 0, func(ctx context.Context) error {
		for _, x := range todo {
			if x.n == 0 {
				continue
			}
			if err := b.Discard(ctx, x.off, x.n); err != nil {
				return err
			}
		}
		return nil
	}, internalError)
}

// Copying: ranges of 8 bytes nothing, le64 first block, le16 count less one; the rest is for protection.
const copyRange = 32

func (c *Controller) copy(r *request) status {
	count, format := r.dw(12)&0xff+1, r.dw(12)>>8&15
	switch {
	case copyFormats>>format&1 == 0:
		return invalidField
	case count > uint32(r.ns.MaxRanges)+1:
		return sizeLimit
	case format != 0:
		return invalidFormat
	}
	list, s := c.fetch(r, int(count)*copyRange)
	if s != success {
		return s
	}
	var from, to []extent
	at := r.dw64(10)
	z := r.ns.zones
	var into *zone
	if z != nil {
		if at >= z.blocks() {
			return lbaRange
		}
		into = z.of(at)
		if s = z.enter(into, true, false, c.AutoTransition); s != success {
			return s
		}
	}
	for ; len(list) > 0; list = list[copyRange:] {
		blocks := uint32(le.Uint16(list[16:])) + 1
		if blocks > uint32(r.ns.MaxRange) {
			s = sizeLimit
			break
		}
		var x, y extent
		if x, s = r.ns.check(le.Uint64(list[8:]), blocks); s != success {
			break
		}
		if z != nil {
			if s = z.checkRead(le.Uint64(list[8:]), blocks); s != success {
				break
			}
		}
		if y, s = r.ns.check(at, blocks); s != success {
			break
		}
		if z != nil {
			if s = z.checkWrite(into, at, blocks); s != success {
				break
			}
			z.begin(into, blocks)
		}
		from, to = append(from, x), append(to, y)
		at += uint64(blocks)
	}
	bad := s // comes after the ranges before it are copied
	copied := 0
	if z != nil {
		shift := r.ns.shift
		r.written = func() {
			for _, y := range to[:copied] {
				z.done(into, uint64(y.off)>>shift, uint32(y.n>>shift))
			}
			if copied < len(to) {
				into.next = into.written
			}
		}
	}
	return c.unlessDeallocated(r, from, deallocated, func() status {
		b := r.ns.backend
		return c.run(r, block.AcctWrite, 0, func(ctx context.Context) error {
			for i, x := range from {
				buf := make([]byte, x.n)
				if err := b.Read(ctx, x.off, buf); err != nil {
					return err
				}
				if err := b.Write(ctx, to[i].off, buf, 0); err != nil {
					return err
				}
				copied++
			}
			if bad != success {
				return outcome(bad)
			}
			return nil
		}, internalError)
	})
}

// flush writes the caches of a namespace, or of all.
func (c *Controller) flush(r *request, id uint32) status {
	var list []*Namespace
	for _, n := range c.namespaces {
		if n != nil && (id == allNamespaces || n.NSID == id) {
			list = append(list, n)
		}
	}
	if id != allNamespaces && len(list) == 0 {
		return invalidField
	}
	r.sq.jobs.Go(func() error {
		for _, n := range list {
			k := n.backend.Stats.Start(block.AcctFlush, 0)
			if err := n.backend.Flush(context.Background()); err != nil {
				n.backend.Stats.Fail(k)
				return err
			}
			n.backend.Stats.Done(k)
		}
		return nil
	}, func(err error) {
		if err != nil {
			c.complete(r, writeFault)
			return
		}
		c.complete(r, success)
	})
	return pending
}

// format makes a namespace, or all, empty with blocks of another size.
func (c *Controller) format(r *request) status {
	id, dw := r.nsid(), r.dw(10)
	var list []*Namespace
	if id == allNamespaces {
		for _, n := range c.namespaces {
			if n != nil {
				list = append(list, n)
			}
		}
	} else {
		if !validNSID(id) {
			return invalidNSID
		}
		n := c.ns(id)
		if n == nil {
			return invalidField
		}
		list = append(list, n)
	}
	lbaf, protection := uint8(dw&15), dw>>5&7
	for _, n := range list {
		if n.zones != nil || int(lbaf) >= n.nformats || n.formats[lbaf] == 0 || protection != 0 {
			return invalidFormat
		}
		n.formatting = true
	}
	r.sq.jobs.Go(func() error {
		for _, n := range list {
			const step = 1 << 30
			for off := int64(0); off < n.size; off += step {
				if err := n.backend.WriteZeroes(context.Background(), off, min(step, n.size-off), block.MayUnmap); err != nil {
					return err
				}
			}
		}
		return nil
	}, func(err error) {
		s := success
		if err != nil {
			s = internalError
		}
		for _, n := range list {
			n.formatting = false
			if err == nil {
				n.flbas, n.shift = lbaf, uint(n.formats[lbaf])
			}
		}
		c.complete(r, s)
	})
	return pending
}
