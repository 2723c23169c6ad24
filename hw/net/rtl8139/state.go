package rtl8139

import (
	"fmt"

	"goemu/hw/pci"
	"goemu/migration/vmstate"
)

type field = vmstate.Field[Device]

func num[V vmstate.Number](name string, at func(d *Device) *V) field { return vmstate.Of(name, at) }

// state is what migrates, in QEMU's layout.
var state = &vmstate.Description[Device]{Name: "rtl8139", Version: 5, MinVersion: 3, PreSave: (*Device).preSave, PostLoad: (*Device).postLoad,
	Subsections: []*vmstate.Description[Device]{
		{Name: "rtl8139/hotplug_ready", Version: 1, MinVersion: 1, Needed: func(d *Device) bool { return d.Tree() != nil && d.Tree().Modified }},
	},
	Fields: []field{
		vmstate.Struct("parent_obj", &pci.State, func(d *Device) *pci.Device { return &d.Device }),
		vmstate.Buffer("phys", 6, func(d *Device) []byte { return d.mac[:] }),
		vmstate.Buffer("mult", 8, func(d *Device) []byte { return d.multi[:] }),
		vmstate.Array("TxStatus", func(d *Device) []uint32 { return d.txStatus[:] }),
		vmstate.Array("TxAddr", func(d *Device) []uint32 { return d.txAddr[:] }),
		num("RxBuf", func(d *Device) *uint32 { return &d.rxBuf }),
		num("RxBufferSize", func(d *Device) *uint32 { return &d.rxSize }),
		num("RxBufPtr", func(d *Device) *uint32 { return &d.rxRead }),
		num("RxBufAddr", func(d *Device) *uint32 { return &d.rxWrite }),
		num("IntrStatus", func(d *Device) *uint16 { return &d.intr }),
		num("IntrMask", func(d *Device) *uint16 { return &d.mask }),
		num("TxConfig", func(d *Device) *uint32 { return &d.txConfig }),
		num("RxConfig", func(d *Device) *uint32 { return &d.rxConfig }),
		num("RxMissed", func(d *Device) *uint32 { return &d.rxMissed }),
		num("CSCR", func(d *Device) *uint16 { return &d.cscr }),
		num("Cfg9346", func(d *Device) *uint8 { return &d.cfg9346 }),
		num("Config0", func(d *Device) *uint8 { return &d.config[0] }),
		num("Config1", func(d *Device) *uint8 { return &d.config[1] }),
		num("Config3", func(d *Device) *uint8 { return &d.config[3] }),
		num("Config4", func(d *Device) *uint8 { return &d.config[4] }),
		num("Config5", func(d *Device) *uint8 { return &d.config[5] }),
		num("clock_enabled", func(d *Device) *uint8 { return &d.clockOn }),
		num("bChipCmdState", func(d *Device) *uint8 { return &d.cmd }),
		num("MultiIntr", func(d *Device) *uint16 { return &d.multiIntr }),
		num("BasicModeCtrl", func(d *Device) *uint16 { return &d.bmcr }),
		num("BasicModeStatus", func(d *Device) *uint16 { return &d.bmsr }),
		num("NWayAdvert", func(d *Device) *uint16 { return &d.advert }),
		num("NWayLPAR", func(d *Device) *uint16 { return &d.partner }),
		num("NWayExpansion", func(d *Device) *uint16 { return &d.expansion }),
		num("CpCmd", func(d *Device) *uint16 { return &d.cpCmd }),
		num("TxThresh", func(d *Device) *uint8 { return &d.txThresh }),
		vmstate.Unused[Device](4),
		vmstate.Buffer("conf.macaddr", 6, func(d *Device) []byte { return d.MAC[:] }),
		num("rtl8139_mmio_io_addr_dummy", func(d *Device) *int32 { return &d.zero }),
		num("currTxDesc", func(d *Device) *uint32 { return &d.txNext }),
		num("currCPlusRxDesc", func(d *Device) *uint32 { return &d.cpRxNext }),
		num("currCPlusTxDesc", func(d *Device) *uint32 { return &d.cpTxNext }),
		num("RxRingAddrLO", func(d *Device) *uint32 { return &d.rxRingLow }),
		num("RxRingAddrHI", func(d *Device) *uint32 { return &d.rxRingHi }),
		vmstate.Array("eeprom.contents", func(d *Device) []uint16 { return d.eeprom.words[:] }),
		num("eeprom.mode", func(d *Device) *int32 { return &d.eeprom.mode }),
		num("eeprom.tick", func(d *Device) *uint32 { return &d.eeprom.tick }),
		num("eeprom.address", func(d *Device) *uint8 { return &d.eeprom.address }),
		num("eeprom.input", func(d *Device) *uint16 { return &d.eeprom.input }),
		num("eeprom.output", func(d *Device) *uint16 { return &d.eeprom.output }),
		num("eeprom.eecs", func(d *Device) *uint8 { return &d.eeprom.cs }),
		num("eeprom.eesk", func(d *Device) *uint8 { return &d.eeprom.sk }),
		num("eeprom.eedi", func(d *Device) *uint8 { return &d.eeprom.di }),
		num("eeprom.eedo", func(d *Device) *uint8 { return &d.eeprom.do }),
		num("TCTR", func(d *Device) *uint32 { return &d.timerValue }),
		num("TimerInt", func(d *Device) *uint32 { return &d.timerInt }),
		num("TCTR_base", func(d *Device) *int64 { return &d.timerBase }),
		num("tally_counters.TxOk", func(d *Device) *uint64 { return &d.tally.TxOK }),
		num("tally_counters.RxOk", func(d *Device) *uint64 { return &d.tally.RxOK }),
		num("tally_counters.TxERR", func(d *Device) *uint64 { return &d.tally.TxErrors }),
		num("tally_counters.RxERR", func(d *Device) *uint32 { return &d.tally.RxErrors }),
		num("tally_counters.MissPkt", func(d *Device) *uint16 { return &d.tally.Missed }),
		num("tally_counters.FAE", func(d *Device) *uint16 { return &d.tally.Misaligned }),
		num("tally_counters.Tx1Col", func(d *Device) *uint32 { return &d.tally.OneCollision }),
		num("tally_counters.TxMCol", func(d *Device) *uint32 { return &d.tally.Collisions }),
		num("tally_counters.RxOkPhy", func(d *Device) *uint64 { return &d.tally.RxMine }),
		num("tally_counters.RxOkBrd", func(d *Device) *uint64 { return &d.tally.RxBroad }),
		num("tally_counters.RxOkMul", func(d *Device) *uint32 { return &d.tally.RxMulti }).Since(5),
		num("tally_counters.TxAbt", func(d *Device) *uint16 { return &d.tally.TxAborted }),
		num("tally_counters.TxUndrn", func(d *Device) *uint16 { return &d.tally.TxUnderruns }),
		num("cplus_enabled", func(d *Device) *uint32 { return &d.cpEnabled }).Since(4),
	}}

func (d *Device) preSave() { d.timerValue, d.zero = d.ticks(), 0 }

func (d *Device) postLoad(version int) error {
	switch {
	case d.rxSize < ringMin || d.rxSize > ringMax || d.rxSize&(d.rxSize-1) != 0:
		return fmt.Errorf("rtl8139: receive buffer of %d bytes", d.rxSize)
	case d.txNext >= uint32(len(d.txStatus)) || d.cpTxNext >= maxTxDescs:
		return fmt.Errorf("rtl8139: transmit buffer %d, descriptor %d", d.txNext, d.cpTxNext)
	}
	d.rxRead &= d.rxSize - 1
	d.rxWrite &= d.rxSize - 1
	if version < 4 {
		d.cpEnabled = 0
		if d.cpCmd != 0 {
			d.cpEnabled = 1
		}
	}
	d.setTimer()
	d.wire.SetLinkDown(d.bmsr&bmsrLink == 0)
	d.wire.Room()
	return nil
}
