package ahci

import (
	"fmt"

	"goemu/hw/ide"
	"goemu/hw/pci"
	"goemu/migration/vmstate"
)

var queuedState = vmstate.Description[queued]{Name: "ncq state", Version: 1,
	Fields: []vmstate.Field[queued]{
		vmstate.Of("sector_count", func(q *queued) *uint32 { return &q.count }),
		vmstate.Of("lba", func(q *queued) *uint64 { return &q.lba }),
		vmstate.Of("tag", func(q *queued) *uint8 { return &q.tag }),
		vmstate.Of("cmd", func(q *queued) *uint8 { return &q.cmd }),
		vmstate.Of("slot", func(q *queued) *uint8 { return &q.slot }),
		vmstate.Of("used", func(q *queued) *bool { return &q.used }),
		vmstate.Of("halt", func(q *queued) *bool { return &q.halted }),
	}}

var portState = vmstate.Description[port]{Name: "ahci port", Version: 1,
	Fields: []vmstate.Field[port]{
		vmstate.Struct("port", &ide.BusState, func(p *port) *ide.Bus { return p.bus }).Since(1),
		vmstate.Struct("port.ifs[0]", &ide.DriveState, func(p *port) *ide.Drive { return p.drive() }).Since(1),
		vmstate.Of("port_state", func(p *port) *uint32 { return &p.state }),
		vmstate.Of("finished", func(p *port) *uint32 { return &p.finished }),
		vmstate.Of("port_regs.lst_addr", func(p *port) *uint32 { return &p.list }),
		vmstate.Of("port_regs.lst_addr_hi", func(p *port) *uint32 { return &p.listHi }),
		vmstate.Of("port_regs.fis_addr", func(p *port) *uint32 { return &p.received }),
		vmstate.Of("port_regs.fis_addr_hi", func(p *port) *uint32 { return &p.receivedHi }),
		vmstate.Of("port_regs.irq_stat", func(p *port) *uint32 { return &p.is }),
		vmstate.Of("port_regs.irq_mask", func(p *port) *uint32 { return &p.ie }),
		vmstate.Of("port_regs.cmd", func(p *port) *uint32 { return &p.cmd }),
		vmstate.Of("port_regs.tfdata", func(p *port) *uint32 { return &p.tfd }),
		vmstate.Of("port_regs.sig", func(p *port) *uint32 { return &p.sig }),
		vmstate.Of("port_regs.scr_stat", func(p *port) *uint32 { return &p.sstatus }),
		vmstate.Of("port_regs.scr_ctl", func(p *port) *uint32 { return &p.control }),
		vmstate.Of("port_regs.scr_err", func(p *port) *uint32 { return &p.serr }),
		vmstate.Of("port_regs.scr_act", func(p *port) *uint32 { return &p.sact }),
		vmstate.Of("port_regs.cmd_issue", func(p *port) *uint32 { return &p.ci }),
		vmstate.Of("done_first_drq", func(p *port) *bool { return &p.firstDone }),
		vmstate.Of("busy_slot", func(p *port) *int32 { return &p.busySlot }),
		vmstate.Of("init_d2h_sent", func(p *port) *bool { return &p.greeted }),
		vmstate.Structs("ncq_tfs", &queuedState, func(p *port) []queued { return p.queue[:] }).Since(1),
	}}

var adapterState = vmstate.Description[AHCI]{Name: "ahci", Version: 1,
	Fields: []vmstate.Field[AHCI]{
		vmstate.Structs("dev", &portState, func(a *AHCI) []port { return a.ports[:] }),
		vmstate.Of("control_regs.cap", func(a *AHCI) *uint32 { return &a.cap }),
		vmstate.Of("control_regs.ghc", func(a *AHCI) *uint32 { return &a.ghc }),
		vmstate.Of("control_regs.irqstatus", func(a *AHCI) *uint32 { return &a.status }),
		vmstate.Of("control_regs.impl", func(a *AHCI) *uint32 { return &a.implemented }),
		vmstate.Of("control_regs.version", func(a *AHCI) *uint32 { return &a.version }),
		vmstate.Of("idp_index", func(a *AHCI) *uint32 { return &a.index }),
		vmstate.Of("ports", func(a *AHCI) *int32 { return &a.count }),
	},
	PostLoad: func(a *AHCI, _ int) error {
		if a.count != numPorts {
			return fmt.Errorf("ahci: %d ports, this adapter has %d", a.count, numPorts)
		}
		for i := range a.ports {
			if err := a.ports[i].loaded(); err != nil {
				return err
			}
		}
		return nil
	}}

// loaded checks a port's state and starts its engines.
func (p *port) loaded() error {
	p.cmd &^= cmdList | cmdReceiving
	p.engines()
	for i := range p.queue {
		if q := &p.queue[i]; q.used != q.halted || q.halted && (!isQueued(q.cmd) || q.slot != q.tag || q.tag >= slots || q.count == 0 || q.count > 65536) {
			return fmt.Errorf("ahci port %d: queued command %d cannot be taken over", p.n, i)
		}
	}
	switch {
	case p.busySlot == noSlot:
		p.check()
	case p.busySlot < 0 || p.busySlot >= slots:
		return fmt.Errorf("ahci port %d: busy slot %d", p.n, p.busySlot)
	default:
		p.current = p.busySlot
	}
	return nil
}

var ahciState = vmstate.Description[AHCI]{Name: "ich9_ahci", Version: 1,
	Fields: []vmstate.Field[AHCI]{
		vmstate.Struct("parent_obj", &pci.State, func(a *AHCI) *pci.Device { return &a.Device }),
		vmstate.Struct("ahci", &adapterState, func(a *AHCI) *AHCI { return a }),
	}}
