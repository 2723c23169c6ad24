package char

import (
	"errors"

	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/migration/vmstate"
)

// transmit sends what is in the transmitter; the line is as fast as the endpoint.
func (u *uart) transmit() {
	for {
		if u.retry == 0 {
			u.loadShifter()
		}
		if !u.send(u.tsr) {
			return
		}
		u.retry = 0
		if u.lsr&lsrTHRE != 0 {
			break
		}
	}
	u.lsr |= lsrTEMT
}

// loadShifter moves the next byte into the shift register.
func (u *uart) loadShifter() {
	if u.fcr&fcrEnable != 0 && u.xmit.num != 0 {
		u.tsr = u.xmit.pop()
		if u.xmit.num == 0 {
			u.lsr |= lsrTHRE
		}
	} else {
		u.tsr = u.thr
		u.lsr |= lsrTHRE
	}
	u.lsr &^= lsrTEMT
	if u.lsr&lsrTHRE != 0 && u.thrPending == 0 {
		u.thrPending = 1
		u.updateIRQ()
	}
}

// send gives the endpoint a byte; false if it has to be tried again later.
func (u *uart) send(c byte) bool {
	switch {
	case u.mcr&mcrLoop != 0:
		u.receive([]byte{c})
	case u.port == nil:
	case u.port.Write([]byte{c}) != 1:
		if u.retry < maxRetries {
			u.retry++
		}
		u.port.OnWritable(u.transmit)
		return false
	}
	return true
}

// receive takes bytes from the line.
func (u *uart) receive(p []byte) {
	if u.fcr&fcrEnable != 0 {
		for _, c := range p {
			if u.recv.full() {
				u.lsr |= lsrOE
			} else {
				u.recv.push(c)
			}
		}
		u.lsr |= lsrDR
		u.timeout.Mod(clock.Virtual.Now() + timeoutChars*u.charTime)
	} else {
		if u.lsr&lsrDR != 0 {
			u.lsr |= lsrOE
		}
		u.rbr = p[0]
		u.lsr |= lsrDR
	}
	u.updateIRQ()
}

// receiveTimeout tells of bytes that wait in the FIFO below its trigger level.
func (u *uart) receiveTimeout() {
	if u.recv.num != 0 {
		u.timeoutPending = 1
		u.updateIRQ()
	}
}

// line is the uart as its endpoint sees it.
type line struct{ u *uart }

// CanRead implements chardev.Frontend: up to the trigger level in one go, then byte by byte.
func (l line) CanRead() int {
	u := l.u
	switch {
	case u.mcr&mcrLoop != 0:
		return 0
	case u.fcr&fcrEnable == 0:
		if u.lsr&lsrDR != 0 {
			return 0
		}
		return 1
	case u.recv.full():
		return 0
	case int(u.recv.num) <= u.trigger:
		return u.trigger - int(u.recv.num)
	}
	return 1
}

// Read implements chardev.Frontend.
func (l line) Read(p []byte) { l.u.receive(p) }

// Event implements chardev.Frontend.
func (l line) Event(e chardev.Event) {
	u := l.u
	if e != chardev.Break {
		return
	}
	u.rbr = 0
	if u.fcr&fcrEnable != 0 && !u.recv.full() {
		u.recv.push(0)
	}
	u.lsr |= lsrBI | lsrDR
	u.updateIRQ()
}

// fifoState is QEMU's Fifo8.
var fifoState = vmstate.Description[fifo]{Name: "Fifo8", Version: 1, MinVersion: 1, Fields: []vmstate.Field[fifo]{
	vmstate.Custom("data", 0, func(f *fifo, w *vmstate.Writer) { w.Raw(f.data[:]) }, func(f *fifo, r *vmstate.Reader) error {
		copy(f.data[:], r.Raw(uartFIFOSize))
		return r.Err()
	}).Since(1),
	vmstate.Of("head", func(f *fifo) *uint32 { return &f.head }),
	vmstate.Of("num", func(f *fifo) *uint32 { return &f.num }),
}}

// uartState is what QEMU migrates of the chip.
var uartState = vmstate.Description[uart]{Name: "serial", Version: 3, MinVersion: 2,
	PreSave: func(u *uart) { u.fcrSaved = u.fcr },
	PreLoad: func(u *uart) { u.thrPending, u.pollMSL = unknownStatus, pollingOff },
	PostLoad: func(u *uart, version int) error {
		return u.loaded(version)
	},
	Fields: []vmstate.Field[uart]{
		vmstate.Of("divider", func(u *uart) *uint16 { return &u.divider }).Since(2),
		vmstate.Of("rbr", func(u *uart) *uint8 { return &u.rbr }),
		vmstate.Of("ier", func(u *uart) *uint8 { return &u.ier }),
		vmstate.Of("iir", func(u *uart) *uint8 { return &u.iir }),
		vmstate.Of("lcr", func(u *uart) *uint8 { return &u.lcr }),
		vmstate.Of("mcr", func(u *uart) *uint8 { return &u.mcr }),
		vmstate.Of("lsr", func(u *uart) *uint8 { return &u.lsr }),
		vmstate.Of("msr", func(u *uart) *uint8 { return &u.msr }),
		vmstate.Of("scr", func(u *uart) *uint8 { return &u.scr }),
		vmstate.Of("fcr_vmstate", func(u *uart) *uint8 { return &u.fcrSaved }).Since(3),
	},
	Subsections: []*vmstate.Description[uart]{
		{Name: "serial/thr_ipending", Version: 1, MinVersion: 1,
			Needed: func(u *uart) bool { return u.ier&ierTHRI != 0 && (u.thrPending != 0) != (u.iir&iirID == iirTHRI) },
			Fields: []vmstate.Field[uart]{vmstate.Of("thr_ipending", func(u *uart) *int32 { return &u.thrPending })}},
		{Name: "serial/tsr", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.retry != 0 },
			Fields: []vmstate.Field[uart]{
				vmstate.Of("tsr_retry", func(u *uart) *int32 { return &u.retry }),
				vmstate.Of("thr", func(u *uart) *uint8 { return &u.thr }),
				vmstate.Of("tsr", func(u *uart) *uint8 { return &u.tsr }),
			}},
		{Name: "serial/recv_fifo", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.recv.num != 0 },
			Fields: []vmstate.Field[uart]{vmstate.Struct("recv_fifo", &fifoState, func(u *uart) *fifo { return &u.recv }).Since(1)}},
		{Name: "serial/xmit_fifo", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.xmit.num != 0 },
			Fields: []vmstate.Field[uart]{vmstate.Struct("xmit_fifo", &fifoState, func(u *uart) *fifo { return &u.xmit }).Since(1)}},
		{Name: "serial/fifo_timeout_timer", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.timeout.Pending() },
			Fields: []vmstate.Field[uart]{vmstate.Timer("fifo_timeout_timer", func(u *uart) vmstate.TimerState { return u.timeout })}},
		{Name: "serial/timeout_ipending", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.timeoutPending != 0 },
			Fields: []vmstate.Field[uart]{vmstate.Of("timeout_ipending", func(u *uart) *int32 { return &u.timeoutPending })}},
		{Name: "serial/poll", Version: 1, MinVersion: 1, Needed: func(u *uart) bool { return u.pollMSL >= 0 },
			Fields: []vmstate.Field[uart]{
				vmstate.Of("poll_msl", func(u *uart) *int32 { return &u.pollMSL }),
				vmstate.Timer("modem_status_poll", func(u *uart) vmstate.TimerState { return u.modem }),
			}},
	},
}

// loaded takes over a loaded state.
func (u *uart) loaded(version int) error {
	if version < 3 {
		u.fcrSaved = 0
	}
	if u.thrPending == unknownStatus {
		u.thrPending = 0
		if u.iir&iirID == iirTHRI {
			u.thrPending = 1
		}
	}
	for _, f := range []*fifo{&u.recv, &u.xmit} {
		if f.num > uartFIFOSize || f.head >= uartFIFOSize {
			return errors.New("serial: FIFO of the stream does not fit")
		}
	}
	if u.retry < 0 || u.retry > maxRetries {
		return errors.New("inconsistent state in serial device (tsr retry out of range)")
	}
	u.fcr = u.fcrSaved & fcrWritable
	u.setTrigger()
	u.updateSpeed()
	if u.retry > 0 && u.port != nil {
		u.port.OnWritable(u.transmit)
	}
	return nil
}
