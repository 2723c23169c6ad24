package piix

import (
	"encoding/binary"

	"goemu/hw/disk"
	"goemu/hw/ide"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Bus master registers of a channel (82371SB data sheet, §2.6.1) and their bits.
const (
	offCommand, offStatus, offTable = 0, 2, 4
	channelBytes                    = 8

	cmdStart, cmdMask = 0x01, 0x09

	stsActive    = 0x01
	stsError     = 0x02
	stsInterrupt = 0x04
	stsWritable  = 0x60
	stsW1C       = stsError | stsInterrupt
)

// A descriptor of memory: an address and a length, of which bit 31 marks the last one. The table ends after 4 KiB.
const (
	prdBytes, prdLast, prdLimit = 8, 1 << 31, 4096
	prdLengthMask               = 0xfffe
	prdMaxLength                = 0x10000
)

// busMaster is the bus master of a channel.
type busMaster struct {
	ide.NoDMA
	adapter *IDE
	bus     *ide.Bus
	irq     *qdev.IRQ
	begin   func() // what waits for the start bit

	cmd, status uint8
	table       uint32 // address of the descriptors
	at          uint32 // of the next descriptor
	last        uint32
	addr, left  uint32 // rest of the present descriptor

	saved savedMaster
}

func (m *busMaster) init(a *IDE, bus *ide.Bus) {
	m.adapter, m.bus, m.irq = a, bus, bus.IRQ()
	bus.DMA = m
	bus.SetIRQ(qdev.NewIRQ(m.interrupt, 0))
}

// interrupt passes the drive's interrupt on and notes it.
func (m *busMaster) interrupt(_ int, level bool) {
	if level {
		m.status |= stsInterrupt
	}
	m.irq.Set(level)
}

// Start implements ide.DMA.
func (m *busMaster) Start(begin func()) {
	m.begin = begin
	m.last, m.addr, m.left = 0, 0, 0
	if m.status&stsActive != 0 {
		begin()
	}
}

// next loads the next descriptor; it returns false after the last one.
func (m *busMaster) next() bool {
	if m.left != 0 {
		return true
	}
	if m.last != 0 || m.at-m.table >= prdLimit {
		return false
	}
	var prd [prdBytes]byte
	m.adapter.DMA().Read(uint64(m.at), prd[:])
	m.at += prdBytes
	size := binary.LittleEndian.Uint32(prd[4:])
	m.addr, m.left, m.last = binary.LittleEndian.Uint32(prd[:]), size&prdLengthMask, size&prdLast
	if m.left == 0 {
		m.left = prdMaxLength
	}
	return true
}

// Prepare implements ide.DMA.
func (m *busMaster) Prepare(limit int64) (sg *disk.SG, described int64) {
	sg = &disk.SG{Space: m.adapter.DMA()}
	for m.next() {
		sg.Add(uint64(m.addr), uint64(min(limit-sg.Size, int64(m.left))))
		described += int64(m.left)
		m.addr, m.left = m.addr+m.left, 0
	}
	return sg, described
}

// Copy implements ide.DMA.
func (m *busMaster) Copy(p []byte) bool {
	for len(p) > 0 {
		if !m.next() {
			return false
		}
		n := min(uint32(len(p)), m.left)
		m.adapter.DMA().Write(uint64(m.addr), p[:n])
		p = p[n:]
		m.addr, m.left = m.addr+n, m.left-n
	}
	return true
}

// Stop implements ide.DMA.
func (m *busMaster) Stop(more bool) {
	m.begin = nil
	m.status &^= stsActive
	if more {
		m.status |= stsActive
	}
}

// Restart implements ide.DMA.
func (m *busMaster) Restart() { m.at = m.table }

// Reset implements ide.DMA.
func (m *busMaster) Reset() {
	m.begin = nil
	m.cmd, m.status, m.table, m.at, m.last, m.addr, m.left = 0, 0, 0, 0, 0, 0, 0
}

// command is a write to the command register.
func (m *busMaster) command(v uint8) {
	switch start := v&cmdStart != 0; {
	case start == (m.cmd&cmdStart != 0):
	case !start:
		m.bus.Active().Cancel()
		m.status &^= stsActive
	default:
		m.at = m.table
		if m.status&stsActive == 0 {
			m.status |= stsActive
			if m.begin != nil {
				m.begin()
			}
		}
	}
	m.cmd = v & cmdMask
}

// registers answers command and status, tableOps the address of the descriptors.
type (
	registers busMaster
	tableOps  busMaster
)

// Read implements memory.Ops.
func (o *registers) Read(off uint64, size int) uint64 {
	switch {
	case size == 1 && off == offCommand:
		return uint64(o.cmd)
	case size == 1 && off == offStatus:
		return uint64(o.status)
	}
	return ^uint64(0)
}

// Write implements memory.Ops.
func (o *registers) Write(off uint64, size int, v uint64) {
	switch {
	case size != 1:
	case off == offCommand:
		(*busMaster)(o).command(uint8(v))
	case off == offStatus:
		o.status = uint8(v)&stsWritable | o.status&stsActive | o.status&^uint8(v)&stsW1C
	}
}

// Read implements memory.Ops.
func (o *tableOps) Read(off uint64, _ int) uint64 { return uint64(o.table) >> (8 * off) }

// Write implements memory.Ops.
func (o *tableOps) Write(off uint64, size int, v uint64) {
	mask := (uint64(1)<<(8*size) - 1) << (8 * off)
	o.table = o.table&^uint32(mask) | uint32(v<<(8*off)&mask)&^3
}

// region is the channel's part of the bus master's ports.
func (m *busMaster) region(into *memory.Region, at uint64) {
	into.Add(memory.NewIO("piix-bmdma", offTable, (*registers)(m)), at, 0)
	into.Add(memory.NewIO("bmdma", channelBytes-offTable, (*tableOps)(m)), at+offTable, 0)
}
