package scsi

import (
	"goemu/block"
	"goemu/hw/scsi"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
)

// A request is a header of 19 bytes and a CDB; the response has 12 bytes and sense data (section 5.6.6.1).
const (
	reqLUN, reqHeader                                            = 0, 19
	respSenseLen, respResidual, respStatus, respCode, respHeader = 0, 4, 10, 11, 12

	minCDB = 16 // what devices look at
)

// Responses.
const (
	respOK             = 0
	respBadTarget      = 3
	respFunctionFailed = 9
	respRejected       = 11
	respIncorrectLUN   = 12
)

// A driver's mistake that breaks the device, in QEMU's words.
const errHeaders = ring.Error("wrong size for virtio-scsi headers")

// address reads a logical unit number; ok is false if it is none of ours.
func address(p []byte) (target, lun uint32, ok bool) {
	if p[0] != 1 || p[2] != 0 && (p[2] < 0x40 || p[2] >= 0x80) {
		return 0, 0, false
	}
	return uint32(p[1]), (uint32(p[2])<<8 | uint32(p[3])) & 0x3fff, true
}

// requests serves a request queue.
func (m *Model) requests(q *virtio.Queue) bool { return q.Each(m.serve) }

// skip drops the first n bytes of a vector.
func skip(iov [][]byte, n int) [][]byte {
	for i, b := range iov {
		if n < len(b) {
			return append([][]byte{b[n:]}, iov[i+1:]...)
		}
		n -= len(b)
	}
	return nil
}

// serve does one command.
func (m *Model) serve(q *virtio.Queue, e *ring.Element) {
	hdr, resp := reqHeader+int(m.cdbSize), respHeader+int(m.sense)
	if e.OutLen() < uint64(hdr) || e.InLen() < uint64(resp) {
		q.Detach(e)
		m.Fail(errHeaders)
		return
	}
	buf := make([]byte, max(hdr, reqHeader+minCDB))
	block.IovGather(buf[:hdr], e.Out)
	c := scsi.Command{CDB: buf[reqHeader:], Out: skip(e.Out, hdr), In: skip(e.In, resp)}
	want := int64(e.OutLen()) - int64(hdr)
	if n := int64(e.InLen()) - int64(resp); n > 0 {
		want = n
	}
	r := make([]byte, resp)
	target, lun, ok := address(buf[reqLUN:])
	switch {
	case !ok || !m.Bus.Execute(target, lun, &c):
		r[respCode] = respBadTarget
	case c.Hold:
		m.hold(q, e)
		return
	default:
		r[respStatus] = c.Status
		if c.Status != scsi.StatusCheckCondition {
			le.PutUint32(r[respResidual:], uint32(max(want-c.Moved, 0)))
		} else {
			n := copy(r[respHeader:], c.Sense.Bytes())
			le.PutUint32(r[respSenseLen:], uint32(n))
		}
	}
	block.IovScatter(e.In, r)
	q.Push(e, uint32(e.InLen()))
}

// Control requests (section 5.6.6.2): task management and queries of asynchronous notifications.
const (
	ctlTask, ctlQuery, ctlSubscribe = 0, 1, 2

	taskRequest, taskSubtype, taskLUN = 24, 4, 8
	queryRequest, queryLUN            = 16, 4

	taskAbort, taskAbortSet, taskClearACA, taskClearSet, taskResetNexus, taskResetLUN, taskQuery, taskQuerySet = 0, 1, 2, 3, 4, 5, 6, 7
)

// control serves the control queue.
func (m *Model) control(q *virtio.Queue) bool { return q.Each(m.controlRequest) }

func (m *Model) controlRequest(q *virtio.Queue, e *ring.Element) {
	var buf [taskRequest]byte
	n := block.IovGather(buf[:], e.Out)
	kind := le.Uint32(buf[:])
	reply := []byte{respFunctionFailed}
	switch {
	case n >= 4 && kind == ctlTask && n >= taskRequest:
		reply[0] = m.task(le.Uint32(buf[taskSubtype:]), buf[taskLUN:])
	case n >= queryRequest && (kind == ctlQuery || kind == ctlSubscribe):
		reply = make([]byte, 5)
		if _, _, ok := address(buf[queryLUN:]); !ok {
			reply[4] = respBadTarget
		}
	case n < queryRequest:
		q.Detach(e)
		m.Fail(errHeaders)
		return
	}
	if e.InLen() < uint64(len(reply)) {
		q.Detach(e)
		m.Fail(errHeaders)
		return
	}
	block.IovScatter(e.In, reply)
	q.Push(e, uint32(len(reply)))
}

// task is a task management function. Commands cannot be called back from the host; a function that ends them waits for them.
func (m *Model) task(kind uint32, lun []byte) uint8 {
	target, n, ok := address(lun)
	if !ok {
		return respBadTarget
	}
	units := m.Bus.Units(target)
	if len(units) == 0 {
		return respBadTarget
	}
	switch kind {
	case taskQuery, taskQuerySet, taskAbort, taskAbortSet, taskClearSet, taskResetLUN:
		u := m.Bus.Unit(target, n)
		if u == nil {
			return respIncorrectLUN
		}
		if kind == taskQuery || kind == taskQuerySet {
			return respOK
		}
		u.SCSI().Wait()
		if kind == taskResetLUN {
			u.SCSI().SetAttention(scsi.SenseReset)
		}
	case taskResetNexus:
		for _, u := range units {
			u.SCSI().Wait()
			u.SCSI().SetAttention(scsi.SenseReset)
		}
	default:
		return respRejected
	}
	return respOK
}

// Events (section 5.6.6.3).
const (
	eventMissed, eventTransport, eventParameter = 0x80000000, 1, 3
	reasonRescan, reasonRemoved                 = 1, 2
)

// event is what the driver hears without having asked.
type event struct {
	kind, reason uint32
	lun          [8]byte
}

// notify tells the driver of something about a device if it has accepted the feature.
func (m *Model) notify(feature int, u scsi.Unit, kind, reason uint32) {
	if !m.Has(feature) || m.Status()&virtio.StatusDriverOK == 0 {
		return
	}
	ev := event{kind: kind, reason: reason, lun: eventLUN(u.SCSI())}
	m.mu.Lock()
	m.pending = append(m.pending, ev)
	m.mu.Unlock()
	m.events.Wake()
}

// eventLUN names a unit as REPORT LUNS does: drivers take the two bytes of the number as they are, so that another form of it is another unit.
func eventLUN(d *scsi.Device) [8]byte {
	n := scsi.PutLUN(d.LUN)
	return [8]byte{1, uint8(d.Target), n[0], n[1]}
}

// eventBuffers fills the buffers of the event queue as far as there are events.
func (m *Model) eventBuffers(q *virtio.Queue) bool {
	for {
		m.mu.Lock()
		if len(m.pending) == 0 {
			m.mu.Unlock()
			q.Stall() // the buffers are for later events
			return true
		}
		ev := m.pending[0]
		m.mu.Unlock()
		e := q.Pop()
		if e == nil {
			m.mu.Lock()
			m.missed, m.pending = true, m.pending[1:]
			m.mu.Unlock()
			continue
		}
		m.mu.Lock()
		if m.missed {
			ev.kind |= eventMissed
		}
		m.missed, m.pending = false, m.pending[1:]
		m.mu.Unlock()
		b := make([]byte, eventBytes)
		le.PutUint32(b, ev.kind)
		copy(b[4:], ev.lun[:])
		le.PutUint32(b[12:], ev.reason)
		n := block.IovScatter(e.In, b)
		q.Push(e, uint32(n))
	}
}
