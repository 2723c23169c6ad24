package input

import (
	"errors"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// Sizes of a PS/2 device's queue: the ring, and how much unread input is kept.
const (
	queueRing  = 256
	queueInput = 16
)

// Replies of a device.
const (
	replyACK    = 0xfa
	replyResend = 0xfe
	replyPassed = 0xaa
	noCommand   = -1
	noReplies   = -1
)

// ps2 is what keyboard and mouse share: a queue of bytes for the controller. Replies to commands go before other input.
type ps2 struct {
	qdev.Base
	irq  *qdev.IRQ
	wake func() // ends a suspension

	writeCmd          int32
	rptr, wptr, count int32
	cwptr             int32 // end of the replies in the ring, -1 if there are none
	data              [queueRing]byte
}

func wrap(i int32) int32 { return i & (queueRing - 1) }

func (p *ps2) resetQueue() { p.rptr, p.wptr, p.count, p.cwptr = 0, 0, 0, noReplies }

func (p *ps2) reset() {
	p.writeCmd = noCommand
	p.resetQueue()
	p.irq.Set(false)
}

// queueByte queues input; too much is dropped.
func (p *ps2) queueByte(b uint8) {
	if p.count >= queueInput {
		return
	}
	p.data[p.wptr] = b
	p.wptr = wrap(p.wptr + 1)
	p.count++
	p.irq.Set(true)
}

// queueAll queues bytes that belong together, or none of them.
func (p *ps2) queueAll(b ...uint8) {
	if queueInput-int(p.count) < len(b) {
		return
	}
	for _, c := range b {
		p.queueByte(c)
	}
}

// answer puts replies before everything else in the queue.
func (p *ps2) answer(b ...uint8) {
	p.rptr = wrap(p.rptr - int32(len(b)))
	p.cwptr = p.rptr
	for _, c := range b {
		p.data[p.cwptr] = c
		p.cwptr = wrap(p.cwptr + 1)
		p.count++
	}
	p.irq.Set(true)
}

// dropAnswers forgets replies to the last command.
func (p *ps2) dropAnswers() {
	if p.cwptr == noReplies {
		return
	}
	p.count -= wrap(p.cwptr - p.rptr)
	p.rptr = p.cwptr
	p.cwptr = noReplies
}

// readByte takes the next byte; an empty queue gives the last one again.
func (p *ps2) readByte() uint8 {
	if p.count == 0 {
		return p.data[wrap(p.rptr-1)]
	}
	b := p.data[p.rptr]
	p.rptr = wrap(p.rptr + 1)
	p.count--
	if p.rptr == p.cwptr {
		p.cwptr = noReplies
	}
	p.irq.Set(false)
	if p.count != 0 {
		p.irq.Set(true)
	}
	return b
}

var ps2State = vmstate.Description[ps2]{Name: "PS2 Common State", Version: 3, MinVersion: 2, Fields: []vmstate.Field[ps2]{
	vmstate.Of("write_cmd", func(p *ps2) *int32 { return &p.writeCmd }),
	vmstate.Of("queue.rptr", func(p *ps2) *int32 { return &p.rptr }),
	vmstate.Of("queue.wptr", func(p *ps2) *int32 { return &p.wptr }),
	vmstate.Of("queue.count", func(p *ps2) *int32 { return &p.count }),
	vmstate.Buffer("queue.data", queueRing, func(p *ps2) []byte { return p.data[:] }),
}}

// loaded checks a loaded queue: its pointers must lie in the ring and agree.
func (p *ps2) loaded() error {
	if p.rptr < 0 || p.rptr >= queueRing || p.count < 0 || p.count > queueRing || p.cwptr < noReplies || p.cwptr >= queueRing {
		return errors.New("ps2: queue of the stream does not fit")
	}
	if p.cwptr != noReplies && wrap(p.cwptr-p.rptr) > p.count {
		return errors.New("ps2: replies of the stream do not fit")
	}
	p.wptr = wrap(p.rptr + p.count)
	return nil
}
