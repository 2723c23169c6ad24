package ahci

import (
	"goemu/hw/disk"
	"goemu/hw/ide"
)

// queued is a queued command (SATA 3.2, §13.6).
type queued struct {
	count          uint32
	lba            uint64
	tag, cmd, slot uint8
	used, halted   bool
}

// isQueued tells whether a command belongs to the queue.
func isQueued(cmd uint8) bool {
	switch cmd {
	case ide.CmdReadFPDMA, ide.CmdWriteFPDMA, 0x63, 0x64, 0x65:
		return true
	}
	return false
}

// enqueue takes a queued command.
func (p *port) enqueue(slot int, t []byte) {
	tag := t[12] >> 3
	q := &p.queue[tag]
	if q.used {
		return
	}
	p.clearIssue(slot)
	p.frameToHost(false)
	*q = queued{used: true, tag: tag, cmd: t[2], slot: uint8(slot), count: uint32(t[3]) | uint32(t[11])<<8,
		lba: uint64(t[4]) | uint64(t[5])<<8 | uint64(t[6])<<16 | uint64(t[8])<<24 | uint64(t[9])<<32 | uint64(t[10])<<40}
	if q.count == 0 {
		q.count = 65536
	}
	if p.memory(int32(slot), int64(q.count)*ide.SectorSize, 0).Size < int64(q.count)*ide.SectorSize {
		p.queueFailed(q)
		p.raise(intOverflow)
		return
	}
	p.runQueued(q)
}

// queueFailed ends a queued command with an error; its bit stays set.
func (p *port) queueFailed(q *queued) {
	p.drive().SetStatus(ide.StatusReady|ide.StatusERR, 0x04)
	q.used = false
}

// runQueued starts a queued command.
func (p *port) runQueued(q *queued) {
	d := p.drive()
	q.halted = false
	n := int64(q.count) * ide.SectorSize
	write := q.cmd == ide.CmdWriteFPDMA
	switch {
	case !write && q.cmd != ide.CmdReadFPDMA:
		p.queueFailed(q)
		return
	case !d.InRange(int64(q.lba), int64(q.count)):
		p.queueFailed(q)
		p.frameBits()
		return
	}
	sg := p.memory(int32(q.slot), n, 0)
	done := func(err error) { p.queuedDone(q, write, err) }
	if write {
		sg.Write(&p.jobs, d.Backend(), int64(q.lba)*ide.SectorSize, 0, done)
	} else {
		sg.Read(&p.jobs, d.Backend(), int64(q.lba)*ide.SectorSize, done)
	}
}

// queuedDone ends a queued command.
func (p *port) queuedDone(q *queued, write bool, err error) {
	if err != nil {
		switch p.drive().Policy().Action(write, err) {
		case disk.ErrorStop:
			q.halted = true
			p.bus.HoldQueue()
			disk.StopMachine()
			return
		case disk.ErrorReport:
			p.queueFailed(q)
		}
	} else {
		p.drive().SetStatus(ide.StatusReady|ide.StatusSeek, p.drive().ErrorByte())
	}
	if q.used {
		p.finished |= 1 << q.tag
	}
	p.frameBits()
	q.used = false
}

// Restart implements ide.DMA: queued commands that an error has stopped run again.
func (p *port) Restart() {
	for i := range p.queue {
		if q := &p.queue[i]; q.halted {
			p.runQueued(q)
		}
	}
}
