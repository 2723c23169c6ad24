package e1000

import (
	"goemu/hw/pci"
	"goemu/internal/clock"
	"goemu/migration/vmstate"
)

type field = vmstate.Field[Device]

// reg is the field of one register.
func reg(name string, i int) field {
	return vmstate.Of("mac_reg["+name+"]", func(d *Device) *uint32 { return &d.mac[i] })
}

// regs is the field of n registers.
func regs(i, n int) field {
	return vmstate.Array("mac_reg", func(d *Device) []uint32 { return d.mac[i : i+n] })
}

// offloadFields are the fields of a context, in two parts.
func offloadFields(name string, at func(*Device) *offload) (first, last []field) {
	return []field{
			vmstate.Of(name+".ipcss", func(d *Device) *uint8 { return &at(d).ipStart }),
			vmstate.Of(name+".ipcso", func(d *Device) *uint8 { return &at(d).ipAt }),
			vmstate.Of(name+".ipcse", func(d *Device) *uint16 { return &at(d).ipEnd }),
			vmstate.Of(name+".tucss", func(d *Device) *uint8 { return &at(d).tcpStart }),
			vmstate.Of(name+".tucso", func(d *Device) *uint8 { return &at(d).tcpAt }),
			vmstate.Of(name+".tucse", func(d *Device) *uint16 { return &at(d).tcpEnd }),
			vmstate.Of(name+".paylen", func(d *Device) *uint32 { return &at(d).payload }),
			vmstate.Of(name+".hdr_len", func(d *Device) *uint8 { return &at(d).header }),
			vmstate.Of(name+".mss", func(d *Device) *uint16 { return &at(d).mss }),
		}, []field{
			vmstate.Of(name+".ip", func(d *Device) *int8 { return &at(d).ip }),
			vmstate.Of(name+".tcp", func(d *Device) *int8 { return &at(d).tcp }),
		}
}

// state is what migrates, in QEMU's layout.
var state = func() *vmstate.Description[Device] {
	mig1, mig2 := offloadFields("mig_props", func(d *Device) *offload { return &d.migrated })
	tso1, tso2 := offloadFields("tx.tso_props", func(d *Device) *offload { return &d.tx.tso })
	f := []field{
		vmstate.Struct("parent_obj", &pci.State, func(d *Device) *pci.Device { return &d.Device }),
		vmstate.Unused[Device](4).When(func(*Device) bool { return false }), // of version 1, which is older than pc's oldest version
		vmstate.Unused[Device](4),
		vmstate.Of("rxbuf_size", func(d *Device) *uint32 { return &d.rxSize }),
		vmstate.Of("rxbuf_min_shift", func(d *Device) *uint32 { return &d.rxShift }),
		vmstate.Of("eecd_state.val_in", func(d *Device) *uint32 { return &d.in }),
		vmstate.Of("eecd_state.bitnum_in", func(d *Device) *uint16 { return &d.bitsIn }),
		vmstate.Of("eecd_state.bitnum_out", func(d *Device) *uint16 { return &d.bitsOut }),
		vmstate.Of("eecd_state.reading", func(d *Device) *uint16 { return &d.reading }),
		vmstate.Of("eecd_state.old_eecd", func(d *Device) *uint32 { return &d.lines }),
	}
	f = append(f, mig1...)
	f = append(f,
		vmstate.Of("tx.size", func(d *Device) *uint16 { return &d.tx.size }),
		vmstate.Of("tx.tso_frames", func(d *Device) *uint16 { return &d.tx.frames }),
		vmstate.Of("tx.sum_needed", func(d *Device) *uint8 { return &d.tx.sums }),
	)
	f = append(f, mig2...)
	f = append(f,
		vmstate.Buffer("tx.header", headerMax, func(d *Device) []byte { return d.tx.header[:] }),
		vmstate.Buffer("tx.data", maxPacket, func(d *Device) []byte { return d.tx.data[:] }),
		vmstate.Array("eeprom_data", func(d *Device) []uint16 { return d.rom[:] }),
		vmstate.Array("phy_reg", func(d *Device) []uint16 { return d.phy[:] }),
		reg("CTRL", regCTRL), reg("EECD", regEECD), reg("EERD", regEERD), reg("GPRC", regGPRC), reg("GPTC", regGPTC), reg("ICR", regICR),
		reg("ICS", regICS), reg("IMC", regIMC), reg("IMS", regIMS), reg("LEDCTL", regLEDCTL), reg("MANC", regMANC), reg("MDIC", regMDIC),
		reg("MPC", regMPC), reg("PBA", regPBA), reg("RCTL", regRCTL), reg("RDBAH", regRDBAH), reg("RDBAL", regRDBAL), reg("RDH", regRDH),
		reg("RDLEN", regRDLEN), reg("RDT", regRDT), reg("STATUS", regSTATUS), reg("SWSM", regSWSM), reg("TCTL", regTCTL),
		reg("TDBAH", regTDBAH), reg("TDBAL", regTDBAL), reg("TDH", regTDH), reg("TDLEN", regTDLEN), reg("TDT", regTDT), reg("TORH", regTORH),
		reg("TORL", regTORL), reg("TOTH", regTOTH), reg("TOTL", regTOTL), reg("TPR", regTPR), reg("TPT", regTPT), reg("TXDCTL", regTXDCTL),
		reg("WUFC", regWUFC), reg("VET", regVET), regs(regRA, 32), regs(regMTA, 128), regs(regVFTA, 128),
	)
	return &vmstate.Description[Device]{Name: "e1000", Version: 2, MinVersion: 1, Fields: f, PreSave: (*Device).preSave, PreLoad: (*Device).preLoad,
		PostLoad: (*Device).postLoad,
		Subsections: []*vmstate.Description[Device]{
			{Name: "e1000/mit_state", Version: 1, MinVersion: 1, Needed: func(d *Device) bool { return d.Mitigation },
				Fields: []field{reg("RDTR", regRDTR), reg("RADV", regRADV), reg("TADV", regTADV), reg("ITR", regITR),
					vmstate.Of("mit_irq_level", func(d *Device) *bool { return &d.irqLevel })}},
			{Name: "e1000/full_mac_state", Version: 1, MinVersion: 1, Needed: func(d *Device) bool { return d.ExtraRegs }, Fields: []field{regs(0, numRegs)}},
			{Name: "e1000/tx_tso_state", Version: 1, MinVersion: 1, Needed: func(d *Device) bool { return d.MigrateTSO }, Fields: append(tso1, tso2...),
				PostLoad: func(d *Device, _ int) error { d.hasTSO = true; return nil }},
		}}
}()

func (d *Device) preSave() {
	if d.wire.LinkDown() && d.negotiates() {
		d.phy[phyStatus] |= srComplete
	}
	d.migrated = d.tx.plain
	if !d.MigrateTSO && d.lastWasTSO {
		d.migrated = d.tx.tso
	}
	d.tx.size = uint16(d.tx.n)
}

func (d *Device) preLoad() { d.hasTSO = false }

func (d *Device) postLoad(int) error {
	if !d.Mitigation {
		d.mac[regITR], d.mac[regRDTR], d.mac[regRADV], d.mac[regTADV], d.irqLevel = 0, 0, 0, 0, false
	}
	d.delayTX, d.quietUntil = 0, clock.Virtual.Now()+1
	d.throttle.Mod(d.quietUntil)
	d.wire.SetLinkDown(d.mac[regSTATUS]&statusLU == 0)
	if d.negotiates() && d.phy[phyStatus]&srComplete == 0 {
		d.wire.SetLinkDown(false)
		d.autonegTimer.Mod(clock.Virtual.Now() + autonegNS)
	}
	d.tx.plain, d.tx.n = d.migrated, int(d.tx.size)
	if !d.hasTSO {
		d.tx.tso = d.migrated
	}
	d.wire.Room()
	return nil
}
