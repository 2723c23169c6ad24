package net

import (
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/netdev"
)

// batch is how many sent frames are given back at once.
const batch = 64

// transmit is the handler of a transmit queue.
func (q *pair) transmit(vq *virtio.Queue) bool {
	defer func() { q.giveBack(vq) }()
	for n := 0; ; n++ {
		e := vq.Pop()
		if e == nil {
			return true
		}
		if !q.m.driverOK() {
			vq.Unpop(e)
			vq.Stall()
			return true
		}
		data, off, err := q.gather(e)
		if err != nil {
			q.m.Fail(err)
			vq.Detach(e)
			return true
		}
		if len(data) > 0 && !q.client.Send(data, off) {
			vq.Unpop(e)
			vq.Stall() // until Resume
			return true
		}
		q.done = append(q.done, ring.Used{Elem: e})
		if len(q.done) == batch {
			q.giveBack(vq)
		}
	}
}

func (m *Model) driverOK() bool { return m.Status()&virtio.StatusDriverOK != 0 }

func (q *pair) giveBack(vq *virtio.Queue) {
	vq.PushAll(q.done)
	clear(q.done)
	q.done = q.done[:0]
}

// gather makes one frame of a chain, without its header.
func (q *pair) gather(e *ring.Element) (data []byte, off *netdev.Offload, err error) {
	n := int(q.m.hdrLen.Load())
	if len(e.Out) < 1 {
		return nil, nil, virtio.Errorf("virtio-net header not in first element")
	}
	if e.OutLen() < uint64(n) {
		return nil, nil, virtio.Errorf("virtio-net header incorrect")
	}
	var hdr [hdrHashed]byte
	rest := e.Out
	for at := 0; at < n; {
		k := copy(hdr[at:n], rest[0])
		at += k
		if k == len(rest[0]) {
			rest = rest[1:]
		} else {
			data = rest[0][k:]
			rest = rest[1:]
			break
		}
	}
	if data == nil && len(rest) > 0 {
		data, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 || len(data) > maxGuestTX+etherHeader+4 {
		q.frame = append(q.frame[:0], data[:min(len(data), netdev.MaxFrame)]...)
		for _, b := range rest {
			q.frame = append(q.frame, b[:min(len(b), netdev.MaxFrame-len(q.frame))]...)
		}
		data = q.frame
	}
	if q.m.vnetHdr && (hdr[0]&netdev.NeedsCsum != 0 || hdr[hdrGSOType] != netdev.GSONone) {
		off = &netdev.Offload{Flags: hdr[0], GSOType: hdr[hdrGSOType], HdrLen: le.Uint16(hdr[hdrHdrLen:]), GSOSize: le.Uint16(hdr[hdrGSOSize:]),
			CsumStart: le.Uint16(hdr[hdrCsumStart:]), CsumOffset: le.Uint16(hdr[hdrCsumOffset:])}
	}
	return data, off, nil
}

// Resume implements netdev.Port.
func (q *pair) Resume() {
	if tx := q.tx.Load(); tx != nil {
		tx.Wake()
	}
}

// LinkChanged implements netdev.Port. Preconditions: the machine lock is held.
func (q *pair) LinkChanged() {
	if q.index == 0 {
		q.m.linkChanged(q.client.LinkDown())
	}
}

// Close implements netdev.Port.
func (q *pair) Close() {}

// roomAgain is the handler of a receive queue: the driver has added buffers.
func (q *pair) roomAgain(vq *virtio.Queue) bool {
	vq.Stall() // the buffers are for frames to come
	if s := q.m.spread.Load(); s != nil && s.redirect {
		q.m.readyAll()
	} else if q.client != nil {
		q.client.Ready()
	}
	return true
}

// Receive implements netdev.Port.
func (q *pair) Receive(data []byte, off *netdev.Offload) bool {
	var h [hdrHashed]byte
	if s := q.m.spread.Load(); s != nil {
		hash, report := s.hash(data)
		le.PutUint32(h[hdrHash:], hash)
		le.PutUint16(h[hdrHashOf:], report)
		q = q.m.pairs[s.pair(hash, report, q.index, int(q.m.curPairs.Load()))]
	}
	vq := q.rx.Load()
	if vq == nil || !vq.Acquire() {
		return false
	}
	defer vq.Release()
	if !q.m.driverOK() || q.index >= int(q.m.curPairs.Load()) {
		return false
	}
	if !q.m.wants(data) {
		return true
	}
	if off != nil {
		h[0], h[hdrGSOType] = off.Flags, off.GSOType
		le.PutUint16(h[hdrHdrLen:], off.HdrLen)
		le.PutUint16(h[hdrGSOSize:], off.GSOSize)
		le.PutUint16(h[hdrCsumStart:], off.CsumStart)
		le.PutUint16(h[hdrCsumOffset:], off.CsumOffset)
	}
	return q.deliver(vq, data, &h)
}

// deliver copies a frame to the driver's buffers behind its header, of which the number of buffers is written here.
func (q *pair) deliver(vq *virtio.Queue, data []byte, h *[hdrHashed]byte) bool {
	hdr := int(q.m.hdrLen.Load())
	mergeable := q.m.Has(featMergeable)
	need, have := uint64(len(data)+hdr), uint64(0)
	for have < need {
		e := vq.Pop()
		if e == nil {
			if vq.SetNotify(true) && !q.m.Broken() {
				continue // added meanwhile
			}
			q.putBack(vq)
			return q.m.Broken()
		}
		if len(e.In) < 1 {
			q.m.Fail(virtio.Errorf("virtio-net receive queue contains no in buffers"))
			vq.Detach(e)
			q.putBack(vq)
			return true
		}
		q.taken = append(q.taken, ring.Used{Elem: e})
		have += e.InLen()
		if !mergeable {
			break
		}
	}
	if have < need || q.taken[0].Elem.InLen() < uint64(hdr) {
		q.putBack(vq) // the driver's buffers are too small: the frame is lost
		return true
	}
	le.PutUint16(h[hdrBuffers:], uint16(len(q.taken)))
	head := h[:hdr]
	for i := range q.taken {
		u := &q.taken[i]
		for _, b := range u.Elem.In {
			k := copy(b, head)
			head = head[k:]
			n := copy(b[k:], data)
			data = data[n:]
			u.Written += uint32(k + n)
		}
	}
	vq.PushAll(q.taken)
	clear(q.taken)
	q.taken = q.taken[:0]
	return true
}

// putBack undoes what deliver has taken.
func (q *pair) putBack(vq *virtio.Queue) {
	for i := len(q.taken) - 1; i >= 0; i-- {
		vq.Unpop(q.taken[i].Elem)
	}
	clear(q.taken)
	q.taken = q.taken[:0]
}
