package ahci

import (
	"goemu/hw/disk"
	"goemu/hw/ide"
	"goemu/internal/mainloop"
)

// States of a port with respect to software resets.
const (
	stateRun   = 0
	stateReset = 1
)

// noSlot says that no command of the task file is under way.
const noSlot = -1

// port is a port of the adapter with its bus of one drive.
type port struct {
	ide.NoDMA
	a   *AHCI
	n   int
	bus *ide.Bus

	// Registers and state that migrate.
	list, listHi, received, receivedHi uint32
	is, ie, cmd, tfd, sig              uint32
	control, serr, sact, ci            uint32
	sstatus                            uint32
	state, finished                    uint32
	firstDone                          bool // the packet has been sent
	busySlot                           int32
	greeted                            bool // the first frame after a reset was sent
	queue                              [slots]queued

	current int32 // slot of the command whose memory is used
	moved   int64 // bytes of it
	jobs    disk.Queue
	posted  bool
}

func (p *port) init(a *AHCI, n int, bus *ide.Bus) {
	p.a, p.n, p.bus, p.busySlot = a, n, bus, noSlot
	bus.DMA = p
	p.jobs.Backends = bus.Backends
}

func (p *port) drive() *ide.Drive { return p.bus.Drives[0] }

func (p *port) listAddr() uint64     { return uint64(p.listHi)<<32 | uint64(p.list) }
func (p *port) receivedAddr() uint64 { return uint64(p.receivedHi)<<32 | uint64(p.received) }

// reset is a reset of the link.
func (p *port) reset() {
	p.jobs.Drop()
	p.bus.Reset()
	p.drive().SetQueueDepth(slots)
	p.sstatus, p.serr, p.sact, p.tfd, p.sig, p.ci = 0, 0, 0, tfdReset, sigReset, 0
	p.busySlot, p.greeted, p.queue = noSlot, false, [slots]queued{}
	if !p.drive().Present() {
		return
	}
	p.state = stateRun
	p.drive().ResetLink()
	p.greet()
}

// raise sets an interrupt by its bit.
func (p *port) raise(bit uint) {
	p.is |= 1 << bit
	p.a.update()
}

func (p *port) load(at uint64) uint32 {
	switch at {
	case regCLB:
		return p.list
	case regCLBU:
		return p.listHi
	case regFB:
		return p.received
	case regFBU:
		return p.receivedHi
	case regPIS:
		return p.is
	case regPIE:
		return p.ie
	case regCMD:
		return p.cmd
	case regTFD:
		return p.tfd
	case regSIG:
		return p.sig
	case regSSTS:
		if p.drive().Present() {
			return statusPresent
		}
	case regSCTL:
		return p.control
	case regSERR:
		return p.serr
	case regSACT:
		return p.sact
	case regCI:
		return p.ci
	}
	return 0
}

func (p *port) store(at uint64, v uint32) {
	switch at {
	case regCLB:
		p.list = v
	case regCLBU:
		p.listHi = v
	case regFB:
		p.received = v
	case regFBU:
		p.receivedHi = v
	case regPIS:
		p.is &^= v
		p.a.update()
	case regPIE:
		p.ie = v & enabledInterrupts
		p.a.update()
	case regCMD:
		p.command(v)
	case regSCTL:
		if p.control&controlDetect == 1 && v&controlDetect == 0 {
			p.reset()
		}
		p.control = v
	case regSERR:
		p.serr &^= v
	case regSACT:
		p.sact |= v
	case regCI:
		p.ci |= v
		p.check()
	}
}

// command is a write to the command register: it starts and stops the engines.
func (p *port) command(v uint32) {
	if p.cmd&cmdStart != 0 && v&cmdStart == 0 {
		p.sact, p.ci = 0, 0
	}
	p.cmd = p.cmd&cmdReadOnly | v&^(cmdReadOnly|cmdICC)
	p.engines()
	if p.cmd&cmdReceiving != 0 {
		p.greet()
	}
	p.check()
}

// engines starts or stops the engines as the command register asks; memory that cannot be reached switches them off again.
func (p *port) engines() {
	for _, e := range []struct {
		want, on uint32
		addr, n  uint64
	}{{cmdStart, cmdList, p.listAddr(), listBytes}, {cmdReceive, cmdReceiving, p.receivedAddr(), receivedBytes}} {
		switch want, on := p.cmd&e.want != 0, p.cmd&e.on != 0; {
		case !want:
			p.cmd &^= e.on
		case !on:
			if _, ok := p.a.DMA().AppendMap(nil, e.addr, e.n, true); !ok {
				p.cmd &^= e.want
				return
			}
			p.cmd |= e.on
		}
	}
}

// check starts the commands that were issued.
func (p *port) check() {
	if p.cmd&cmdStart == 0 {
		return
	}
	for slot := range slots {
		if p.ci&(1<<slot) != 0 {
			p.execute(slot)
		}
	}
}

// header reads a command header.
func (p *port) header(slot int32) (h [headerBytes]byte) {
	p.a.DMA().Read(p.listAddr()+uint64(slot)*headerBytes, h[:])
	return h
}

// execute starts the command in a slot unless the drive is busy.
func (p *port) execute(slot int) {
	d := p.drive()
	if d.StatusByte()&(ide.StatusBusy|ide.StatusDRQ) != 0 || p.cmd&cmdList == 0 || !d.Present() {
		return
	}
	p.current = int32(slot)
	h := p.header(p.current)
	table := le.Uint64(h[hdrTable:])
	var t [tableBytes]byte
	if _, ok := p.a.DMA().AppendMap(nil, table, tableBytes, false); !ok {
		p.raise(intBusFatal)
		return
	}
	p.a.DMA().Read(table, t[:])
	if t[0] == frameToDevice && t[1]&framePortMask == 0 {
		p.toDevice(slot, le.Uint16(h[:]), t[:])
	}
}

// toDevice passes a register frame on to the drive.
func (p *port) toDevice(slot int, opts uint16, t []byte) {
	if t[1]&frameCommand == 0 {
		p.deviceControl(slot, opts, t[15])
		return
	}
	if isQueued(t[2]) {
		p.enqueue(slot, t)
		return
	}
	var packet []byte
	if opts&optPacket != 0 {
		packet = t[tablePacket : tablePacket+packetBytes]
	}
	p.drive().Load(ide.Frame{LBA: [3]uint8(t[4:7]), Device: t[7], PrevLBA: [3]uint8(t[8:11]), Count: le.Uint16(t[12:])}, t[3], t[11], packet)
	p.firstDone, p.moved = false, 0
	p.setCount(0)
	p.busySlot = int32(slot)
	p.bus.Execute(t[2])
}

// deviceControl is a frame that writes the device control register: a pair of them resets the drive.
func (p *port) deviceControl(slot int, opts uint16, control uint8) {
	switch on := control&controlReset != 0; {
	case p.state == stateRun && on:
		p.state = stateReset
		if opts&optClearBusy != 0 {
			p.clearIssue(slot)
		}
	case p.state == stateReset && !on:
		p.reset()
	}
}

// clearIssue ends a command in the issue register if the drive is idle and content.
func (p *port) clearIssue(slot int) {
	if p.drive().StatusByte()&(ide.StatusERR|ide.StatusBusy|ide.StatusDRQ) == 0 {
		p.ci &^= 1 << slot
	}
}

// setCount writes to the command header how many bytes were moved.
func (p *port) setCount(n int64) {
	p.a.DMA().Store(p.listAddr()+uint64(p.current)*headerBytes+hdrCount, 4, uint64(n))
}

// memory gathers up to limit bytes of a command's memory from an offset on.
func (p *port) memory(slot int32, limit, offset int64) *disk.SG {
	sg := &disk.SG{Space: p.a.DMA()}
	h := p.header(slot)
	table := le.Uint64(h[hdrTable:]) + tableBytes
	for i := range uint64(le.Uint16(h[2:])) {
		if sg.Size >= limit {
			break
		}
		var prd [prdBytes]byte
		p.a.DMA().Read(table+i*prdBytes, prd[:])
		addr, n := le.Uint64(prd[:]), int64(le.Uint32(prd[prdSize:])&prdSizeMask)+1
		if skip := min(offset, n); skip > 0 {
			offset, addr, n = offset-skip, addr+uint64(skip), n-skip
		}
		sg.Add(addr, uint64(min(n, limit-sg.Size)))
	}
	return sg
}

// Start implements ide.DMA.
func (p *port) Start(begin func()) {
	p.moved = 0
	begin()
}

// Prepare implements ide.DMA.
func (p *port) Prepare(limit int64) (*disk.SG, int64) {
	sg := p.memory(p.current, limit, p.moved)
	return sg, sg.Size
}

// Commit implements ide.DMA.
func (p *port) Commit(n int64) {
	p.moved += n
	p.setCount(p.moved)
}

// Copy implements ide.DMA.
func (p *port) Copy(b []byte) bool {
	sg := p.memory(p.current, int64(len(b)), p.moved)
	if sg.Size == 0 {
		return false
	}
	sg.Store(b)
	p.Commit(int64(len(b)))
	return true
}

// PIO implements ide.DMA: the adapter moves the buffer between two frames.
func (p *port) PIO(b []byte, toHost bool) bool {
	opts := le.Uint16(p.headerBytes())
	packet := opts&optPacket != 0 && !p.firstDone
	interrupt := p.firstDone || opts&(optPacket|optWrite) == 0
	p.framePIO(len(b), interrupt)
	if !packet {
		sg := p.memory(p.current, int64(len(b)), p.moved)
		if toHost {
			sg.Store(b)
		} else {
			sg.Load(b)
		}
		p.Commit(int64(len(b)))
	}
	p.firstDone = true
	if interrupt {
		p.raise(intPIO)
	}
	return true
}

func (p *port) headerBytes() []byte {
	h := p.header(p.current)
	return h[:]
}

// Done implements ide.DMA.
func (p *port) Done() {
	if p.busySlot != noSlot {
		p.clearIssue(int(p.busySlot))
		p.busySlot = noSlot
	}
	p.frameToHost(true)
	if p.drive().StatusByte()&ide.StatusERR == 0 && p.ci != 0 && !p.posted {
		p.posted = true
		mainloop.Post(func() {
			p.posted = false
			p.check()
		})
	}
}
