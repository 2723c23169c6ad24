package blk

import (
	"context"
	"sync/atomic"
	"time"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
)

// Sizes up to which a request is served at once by the goroutine that takes it.
const (
	tryMax = 16 << 10 // on the notifying goroutine, a virtual CPU's, at most tryRequests of them in a row

	tryRequests = 8
	inlineMax   = 64 << 10
)

// request is a parsed request.
type request struct {
	kind   uint32
	sector uint64
	out    [][]byte // after the header
	in     [][]byte // before the status
	status []byte   // one byte
	outLen uint64
	inLen  uint64
}

// Mistakes of the driver that break the device, in QEMU's words.
const (
	errHeaders = ring.Error("virtio-blk missing headers")
	errOutHdr  = ring.Error("virtio-blk request outhdr too short")
	errInHdr   = ring.Error("virtio-blk request inhdr too short")
	errSegHdr  = ring.Error("virtio-blk discard/write_zeroes header too short")
)

// parse takes a chain apart. The header is read once: the driver may change it at any time.
func parse(e *ring.Element) (r request, err error) {
	if len(e.Out) == 0 || len(e.In) == 0 {
		return r, errHeaders
	}
	if e.OutLen() < hdrSize {
		return r, errOutHdr
	}
	if e.InLen() < 1 {
		return r, errInHdr
	}
	var hdr [hdrSize]byte
	block.IovGather(hdr[:], e.Out)
	r.kind = le.Uint32(hdr[:])
	r.sector = le.Uint64(hdr[hdrSector:])
	r.out, r.outLen = skip(e.Out, hdrSize), e.OutLen()-hdrSize
	r.inLen = e.InLen() - 1
	last := e.In[len(e.In)-1]
	r.status = last[len(last)-1:]
	r.in = e.In
	if len(last) == 1 {
		r.in = r.in[:len(r.in)-1]
	} else {
		r.in[len(r.in)-1] = last[:len(last)-1]
	}
	return r, nil
}

// skip drops the first n bytes of a vector in place.
func skip(iov [][]byte, n int) [][]byte {
	for n > 0 && len(iov) > 0 {
		if n < len(iov[0]) {
			iov[0] = iov[0][n:]
			break
		}
		n -= len(iov[0])
		iov = iov[1:]
	}
	return iov
}

// handle is the queue handler.
func (m *Model) handle(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		r, err := parse(e)
		if err != nil {
			q.Detach(e)
			m.Fail(err)
			return true
		}
		if m.quick(&r) {
			m.finish(q, e, &r)
			continue
		}
		q.Spread()
		m.serve(q, e, &r)
		if !q.Rejoin() {
			return false
		}
	}
}

// quick serves a request that the host can answer at once and tells whether it did. The status is set then.
func (m *Model) quick(r *request) bool {
	switch {
	case r.kind&^typeBarrier == typeIn && r.inLen <= inlineMax:
		count := m.backend.Stats.Start(block.AcctRead, int64(r.inLen))
		if r.inLen == 0 || !m.inRange(r.sector, r.inLen) || !m.backend.TryReadV(int64(r.sector)<<sectorBits, r.in) {
			return false
		}
		m.backend.Stats.Done(count)
		r.status[0] = statusOK
		return true
	case r.kind == typeOut && r.outLen <= inlineMax && r.outLen > 0 && m.pace.cached.Load() && m.inRange(r.sector, r.outLen):
		count := m.backend.Stats.Start(block.AcctWrite, int64(r.outLen))
		if !m.backend.TryWriteV(int64(r.sector)<<sectorBits, r.out) {
			return false // if it failed, it fails again in serve, where errors are handled
		}
		m.backend.Stats.Done(count)
		r.status[0] = statusOK
		return true
	case r.kind == typeGetID:
		m.getID(r)
		return true
	}
	return false
}

// try serves small requests on the goroutine that notifies the queue, a virtual CPU's, when the host can be expected to answer at once:
// that saves two changes of threads. Everything else it leaves to the queue's own goroutines.
func (m *Model) try(q *virtio.Queue) bool {
	for range tryRequests {
		e := q.Pop()
		if e == nil {
			return true
		}
		written, ok := m.tryOne(e)
		if !ok {
			q.Unpop(e)
			return false
		}
		q.Push(e, written)
	}
	return q.Empty()
}

// tryOne serves a request if it is small and simple. It leaves the element as it is if it cannot.
func (m *Model) tryOne(e *ring.Element) (written uint32, ok bool) {
	if len(e.Out) == 0 || len(e.Out[0]) != hdrSize || len(e.In) == 0 || len(e.In[len(e.In)-1]) != 1 {
		return 0, false
	}
	hdr, status, data := e.Out[0], e.In[len(e.In)-1], e.In[:len(e.In)-1]
	kind, sector := le.Uint32(hdr), le.Uint64(hdr[hdrSector:])
	in, out := e.InLen()-1, e.OutLen()-hdrSize
	off := int64(sector) << sectorBits
	var count block.Cookie
	switch {
	case kind == typeIn && in > 0 && in <= tryMax && m.inRange(sector, in):
		count = m.backend.Stats.Start(block.AcctRead, int64(in))
		ok = m.backend.TryReadV(off, data)
	case kind == typeOut && in == 0 && out > 0 && out <= tryMax && m.inRange(sector, out) && m.pace.ready():
		begin := time.Now()
		count = m.backend.Stats.Start(block.AcctWrite, int64(out))
		ok = m.backend.TryWriteV(off, e.Out[1:]) // a failure shows again on the long way
		m.pace.took(time.Since(begin))
	}
	if ok {
		m.backend.Stats.Done(count)
		status[0] = statusOK
	}
	return uint32(in) + 1, ok
}

// pace decides whether writes are fast enough to be made by a virtual CPU. A cached write only copies, unless the host's cache is full.
type pace struct {
	cached  atomic.Bool  // writes go to the host's page cache
	blocked atomic.Int64 // time of the last slow write, in nanoseconds since start
	start   time.Time
}

const (
	slowWrite = 500 * time.Microsecond
	slowPause = 250 * time.Millisecond // without such writes after a slow one
)

func (p *pace) ready() bool {
	if !p.cached.Load() {
		return false
	}
	b := p.blocked.Load()
	return b == 0 || time.Since(p.start)-time.Duration(b) > slowPause
}

func (p *pace) took(d time.Duration) {
	if d > slowWrite {
		p.blocked.Store(int64(time.Since(p.start)))
	}
}

// updatePace looks at how the disk is opened now.
func (m *Model) updatePace() {
	b := m.backend
	m.pace.cached.Store(b.WriteCache() && !b.ReadOnly() && b.RequestAlign() <= 1)
}

// finish gives a request back: everything up to and including the status counts as written.
func (m *Model) finish(q *virtio.Queue, e *ring.Element, r *request) {
	q.Push(e, uint32(r.inLen+1))
}

// serve does a request, however long it takes.
func (m *Model) serve(q *virtio.Queue, e *ring.Element, r *request) {
	var err error
	write := false
	kind := r.kind &^ typeBarrier
	stats := &m.backend.Stats
	var count block.Cookie
	switch kind &^ typeOut {
	case typeIn:
		if kind&typeOut != 0 {
			write = true
			count = stats.Start(block.AcctWrite, int64(r.outLen))
			err = m.write(r)
		} else {
			count = stats.Start(block.AcctRead, int64(r.inLen))
			err = m.read(r)
		}
	case typeFlush:
		write = true
		count = stats.Start(block.AcctFlush, 0)
		err = m.backend.Flush(context.Background())
	case typeGetID:
		m.getID(r)
		m.finish(q, e, r)
		return
	case typeDiscard &^ typeOut, typeWriteZeroes &^ typeOut:
		write = true
		count = stats.Start(block.AcctUnmap, 0)
		if kind == typeWriteZeroes {
			count = stats.Start(block.AcctWrite, 0)
		}
		var broken bool
		if broken, err = m.segment(r, kind, &count); broken {
			q.Detach(e)
			m.Fail(err)
			return
		}
	case typeSCSI:
		r.status[0] = m.scsi(r)
		m.finish(q, e, r)
		return
	default:
		err = errUnsupported
	}
	switch {
	case err == nil:
		stats.Done(count)
	case err == errRange:
		stats.Invalidate(count.Kind())
	}
	m.complete(q, e, r, write, count, err)
}

// complete sets the status that belongs to an error and gives the request back, or keeps it to be tried again.
func (m *Model) complete(q *virtio.Queue, e *ring.Element, r *request, write bool, count block.Cookie, err error) {
	switch {
	case err == nil:
		r.status[0] = statusOK
	case err == errUnsupported:
		r.status[0] = statusUnsupp
	case err == errRange:
		r.status[0] = statusIOErr
	default:
		action := m.errs.Action(write, err)
		m.backend.Failed(write, string(action), err)
		switch action {
		case disk.ErrorIgnore:
			r.status[0] = statusOK
		case disk.ErrorStop:
			m.errs.hold(heldRequest{q, e, *r})
			return
		default:
			m.backend.Stats.Fail(count)
			r.status[0] = statusIOErr
		}
	}
	m.finish(q, e, r)
}

const (
	errUnsupported = ring.Error("request not supported")
	errRange       = ring.Error("request out of range")
)

// inRange checks a request of n bytes against the size of the disk.
func (m *Model) inRange(sector, n uint64) bool {
	perBlock := uint64(m.Props.LogicalBlock) >> sectorBits
	count, total := n>>sectorBits, m.capacity()
	return count <= maxRequestSectors && n%uint64(m.Props.LogicalBlock) == 0 && sector%perBlock == 0 && sector <= total && count <= total-sector
}

func (m *Model) read(r *request) error {
	if !m.inRange(r.sector, r.inLen) {
		return errRange
	}
	return m.backend.ReadV(context.Background(), int64(r.sector)<<sectorBits, r.in, 0)
}

func (m *Model) write(r *request) error {
	if !m.inRange(r.sector, r.outLen) {
		return errRange
	}
	return m.backend.WriteV(context.Background(), int64(r.sector)<<sectorBits, r.out, 0)
}

// getID answers with the serial number.
func (m *Model) getID(r *request) {
	var id [idSize]byte
	n := min(copy(id[:], m.Props.Serial)+1, idSize)
	block.IovScatter(r.in, id[:n])
	r.status[0] = statusOK
}

// segment does a discard or write zeroes request. broken says that the request itself is malformed.
func (m *Model) segment(r *request, kind uint32, stats *block.Cookie) (broken bool, err error) {
	if kind&typeOut == 0 || r.outLen > segSize {
		return false, errUnsupported // of several segments we offer none
	}
	var seg [segSize]byte
	if block.IovGather(seg[:], r.out) < segSize {
		return true, errSegHdr
	}
	sector, count, flags := le.Uint64(seg[:]), uint64(le.Uint32(seg[segSectors:])), le.Uint32(seg[segFlags:])
	zero := kind == typeWriteZeroes
	limit := m.Props.MaxDiscard
	if zero {
		limit = m.Props.MaxZeroes
	}
	switch {
	case count > uint64(limit) || !m.inRange(sector, count<<sectorBits):
		return false, errRange
	case flags&^segFlagZero != 0 || !zero && flags != 0:
		return false, errUnsupported
	case zero && !m.Props.WriteZeroes || !zero && !m.Props.Discard:
		return false, errUnsupported
	}
	off, n := int64(sector)<<sectorBits, int64(count)<<sectorBits
	stats.Bytes(n)
	if zero {
		fl := block.Flags(0)
		if flags&segFlagZero != 0 {
			fl = block.MayUnmap
		}
		return false, m.backend.WriteZeroes(context.Background(), off, n, fl)
	}
	return false, m.backend.Discard(context.Background(), off, n)
}
