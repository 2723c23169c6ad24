// Package char has the character devices of a PC: 16550A serial ports and debug consoles. It knows no endpoint of the host beyond
// package chardev.
package char

import (
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// Registers of a 16550A (National Semiconductor PC16550D), by offset; some have another meaning when read, written or with DLAB set.
const (
	regData      = 0 // RBR, THR, or divisor low
	regIER       = 1 // or divisor high
	regIIR       = 2 // FCR when written
	regLCR       = 3
	regMCR       = 4
	regLSR       = 5
	regMSR       = 6
	regScratch   = 7
	uartPorts    = 8
	uartFIFOSize = 16
)

// Bits of the registers.
const (
	ierRDI  = 0x01 // received data available
	ierTHRI = 0x02 // transmitter holding register empty
	ierRLSI = 0x04 // receiver line status
	ierMSI  = 0x08 // modem status
	ierAll  = 0x0f

	iirNone = 0x01
	iirMSI  = 0x00
	iirTHRI = 0x02
	iirRDI  = 0x04
	iirRLSI = 0x06
	iirCTI  = 0x0c // character timeout
	iirID   = 0x06
	iirFE   = 0xc0 // FIFOs enabled

	fcrEnable   = 0x01
	fcrRXReset  = 0x02
	fcrTXReset  = 0x04
	fcrWritable = 0xc9
	fcrTrigger  = 0xc0

	lcrStop2  = 0x04
	lcrParity = 0x08
	lcrBreak  = 0x40
	lcrDLAB   = 0x80

	mcrDTR  = 0x01
	mcrRTS  = 0x02
	mcrOut1 = 0x04
	mcrOut2 = 0x08
	mcrLoop = 0x10
	mcrAll  = 0x1f

	lsrDR   = 0x01
	lsrOE   = 0x02
	lsrPE   = 0x04
	lsrFE   = 0x08
	lsrBI   = 0x10
	lsrTHRE = 0x20
	lsrTEMT = 0x40
	lsrInts = lsrOE | lsrPE | lsrFE | lsrBI

	msrDeltas = 0x0f
	msrCTS    = 0x10
	msrDSR    = 0x20
	msrDCD    = 0x80
)

// triggerLevels are the receive FIFO's trigger levels by the top bits of FCR.
var triggerLevels = [4]int{1, 4, 8, 14}

const (
	resetDivider  = 0x0c // 9600 baud
	timeoutChars  = 4    // a byte waits for this many character times before the timeout interrupt
	nsPerSecond   = 1e9
	pollingOff    = -1 // pollMSL: the endpoint has no modem lines
	maxRetries    = 4  // as QEMU's limit of retries before output is dropped
	unknownStatus = -1 // thrPending while a stream is loaded
)

// fifo is a ring of up to 16 bytes, in the form in which QEMU migrates it.
type fifo struct {
	data      [uartFIFOSize]byte
	head, num uint32
}

func (f *fifo) push(c byte) {
	f.data[(f.head+f.num)%uartFIFOSize] = c
	f.num++
}

func (f *fifo) pop() byte {
	c := f.data[f.head%uartFIFOSize]
	f.head = (f.head + 1) % uartFIFOSize
	f.num--
	return c
}

func (f *fifo) reset()     { f.head, f.num = 0, 0 }
func (f *fifo) full() bool { return f.num == uartFIFOSize }

// uartRegs is the guest-visible state.
type uartRegs struct {
	divider                                    uint16
	rbr, thr, tsr, ier, iir, lcr, mcr, lsr     uint8
	msr, scr, fcr, fcrSaved                    uint8
	thrPending, timeoutPending, retry, pollMSL int32
	recv, xmit                                 fifo
}

// uart is a 16550A behind whatever bus. All methods run under the machine lock.
type uart struct {
	uartRegs
	baudBase uint32
	irq      *qdev.IRQ
	port     *chardev.Port // nil: nothing is connected
	timeout  *clock.Timer  // character timeout
	modem    *clock.Timer  // polling of modem lines; only for the stream, no endpoint has any
	charTime int64         // ns
	trigger  int
}

// realize connects the chip to its endpoint, which may be nil.
func (u *uart) realize(backend *chardev.Backend) (err error) {
	u.timeout = mainloop.NewTimer(clock.Virtual, u.receiveTimeout)
	u.modem = mainloop.NewTimer(clock.Virtual, func() {})
	u.reset()
	if backend != nil {
		u.port, err = backend.Attach(line{u})
	}
	return err
}

// unrealize disconnects the endpoint.
func (u *uart) unrealize() {
	u.timeout.Del()
	if u.port != nil {
		u.port.Detach()
		u.port = nil
	}
}

// reset puts the chip into its power-on state.
func (u *uart) reset() {
	if u.port != nil {
		u.port.OnWritable(nil)
	}
	u.uartRegs = uartRegs{divider: resetDivider, iir: iirNone, lsr: lsrTEMT | lsrTHRE, msr: msrDCD | msrDSR | msrCTS, mcr: mcrOut2}
	u.setTrigger()
	u.timeout.Del()
	u.modem.Del()
	u.updateSpeed()
	u.irq.Set(false)
}

// updateSpeed computes how long a character takes on the line.
func (u *uart) updateSpeed() {
	bits := int64(1 + 5 + u.lcr&3 + 1) // start, data, stop
	if u.lcr&lcrParity != 0 {
		bits++
	}
	if u.lcr&lcrStop2 != 0 {
		bits++
	}
	if u.divider == 0 || uint32(u.divider) > u.baudBase {
		return
	}
	u.charTime = int64(nsPerSecond) / int64(u.baudBase) * int64(u.divider) * bits
}

// updateIRQ computes the interrupt identification and drives the line.
func (u *uart) updateIRQ() {
	id := uint8(iirNone)
	switch {
	case u.ier&ierRLSI != 0 && u.lsr&lsrInts != 0:
		id = iirRLSI
	case u.ier&ierRDI != 0 && u.timeoutPending != 0:
		id = iirCTI
	case u.ier&ierRDI != 0 && u.lsr&lsrDR != 0 && (u.fcr&fcrEnable == 0 || int(u.recv.num) >= u.trigger):
		id = iirRDI
	case u.ier&ierTHRI != 0 && u.thrPending != 0:
		id = iirTHRI
	case u.ier&ierMSI != 0 && u.msr&msrDeltas != 0:
		id = iirMSI
	}
	u.iir = id | u.iir&0xf0
	u.irq.Set(id != iirNone)
}

// Write implements memory.Ops.
func (u *uart) Write(offset uint64, _ int, value uint64) {
	v := uint8(value)
	switch offset & (uartPorts - 1) {
	case regData:
		u.writeData(v)
	case regIER:
		u.writeIER(v)
	case regIIR:
		u.writeFCR(v)
	case regLCR:
		u.lcr = v
		u.updateSpeed()
	case regMCR:
		u.mcr = v & mcrAll
	case regScratch:
		u.scr = v
	}
}

func (u *uart) writeData(v uint8) {
	if u.lcr&lcrDLAB != 0 {
		u.divider = u.divider&0xff00 | uint16(v)
		u.updateSpeed()
		return
	}
	u.thr = v
	if u.fcr&fcrEnable != 0 {
		if u.xmit.full() {
			u.xmit.pop()
		}
		u.xmit.push(v)
	}
	u.thrPending = 0
	u.lsr &^= lsrTHRE | lsrTEMT
	u.updateIRQ()
	if u.retry == 0 {
		u.transmit()
	}
}

func (u *uart) writeIER(v uint8) {
	if u.lcr&lcrDLAB != 0 {
		u.divider = u.divider&0x00ff | uint16(v)<<8
		u.updateSpeed()
		return
	}
	changed := (u.ier ^ v) & ierAll
	u.ier = v & ierAll
	if changed&ierMSI != 0 {
		u.pollMSL = 0
		if u.ier&ierMSI != 0 {
			u.pollMSL = pollingOff
		}
	}
	if changed&ierTHRI != 0 {
		u.thrPending = 0
		if u.ier&ierTHRI != 0 && u.lsr&lsrTHRE != 0 {
			u.thrPending = 1
		}
	}
	if changed != 0 {
		u.updateIRQ()
	}
}

func (u *uart) writeFCR(v uint8) {
	if u.fcr == v {
		return
	}
	if (v^u.fcr)&fcrEnable != 0 {
		v |= fcrRXReset | fcrTXReset
	}
	if v&fcrRXReset != 0 {
		u.lsr &^= lsrDR | lsrBI
		u.timeout.Del()
		u.timeoutPending = 0
		u.recv.reset()
	}
	if v&fcrTXReset != 0 {
		u.lsr |= lsrTHRE
		u.thrPending = 1
		u.xmit.reset()
	}
	u.fcr = v & fcrWritable
	u.setTrigger()
	u.updateIRQ()
	u.accept()
}

// setTrigger takes over what FCR says of the FIFOs.
func (u *uart) setTrigger() {
	u.iir &^= iirFE
	if u.fcr&fcrEnable != 0 {
		u.iir |= iirFE
	}
	u.trigger = triggerLevels[u.fcr&fcrTrigger>>6]
}

// Read implements memory.Ops.
func (u *uart) Read(offset uint64, _ int) uint64 {
	switch offset & (uartPorts - 1) {
	case regData:
		return uint64(u.readData())
	case regIER:
		if u.lcr&lcrDLAB != 0 {
			return uint64(u.divider >> 8)
		}
		return uint64(u.ier)
	case regIIR:
		v := u.iir
		if v&iirID == iirTHRI {
			u.thrPending = 0
			u.updateIRQ()
		}
		return uint64(v)
	case regLCR:
		return uint64(u.lcr)
	case regMCR:
		return uint64(u.mcr)
	case regLSR:
		v := u.lsr
		if v&(lsrBI|lsrOE) != 0 {
			u.lsr &^= lsrBI | lsrOE
			u.updateIRQ()
		}
		return uint64(v)
	case regMSR:
		return uint64(u.readMSR())
	}
	return uint64(u.scr)
}

func (u *uart) readData() (v uint8) {
	if u.lcr&lcrDLAB != 0 {
		return uint8(u.divider)
	}
	if u.fcr&fcrEnable != 0 {
		if u.recv.num != 0 {
			v = u.recv.pop()
		}
		if u.recv.num == 0 {
			u.lsr &^= lsrDR | lsrBI
		} else {
			u.timeout.Mod(clock.Virtual.Now() + timeoutChars*u.charTime)
		}
		u.timeoutPending = 0
	} else {
		v = u.rbr
		u.lsr &^= lsrDR | lsrBI
	}
	u.updateIRQ()
	u.accept()
	return v
}

// accept lets the endpoint send on, except in loopback mode.
func (u *uart) accept() {
	if u.mcr&mcrLoop == 0 && u.port != nil {
		u.port.AcceptInput()
	}
}

func (u *uart) readMSR() uint8 {
	if u.mcr&mcrLoop != 0 { // the modem outputs come back as inputs
		return u.mcr&(mcrOut1|mcrOut2)<<4 | u.mcr&mcrRTS<<3 | u.mcr&mcrDTR<<5
	}
	v := u.msr
	if v&msrDeltas != 0 {
		u.msr &^= msrDeltas
		u.updateIRQ()
	}
	return v
}
