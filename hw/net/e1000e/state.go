package e1000e

import (
	"errors"

	"goemu/hw/pci"
	"goemu/internal/clock"
	"goemu/migration/vmstate"
)

var delayState = vmstate.Description[delay]{Name: "e1000e-intr-timer", Version: 1, MinVersion: 1, Fields: []vmstate.Field[delay]{
	vmstate.Timer("timer", func(t *delay) vmstate.TimerState { return t.timer }),
	vmstate.Of("running", func(t *delay) *bool { return &t.running }),
}}

var queueState = vmstate.Description[transmitter]{Name: "e1000e-tx", Version: 1, MinVersion: 1,
	PreSave: func(t *transmitter) { t.skip = t.skip || len(t.data) > 0 }, // the part of a packet that was gathered is not in the stream
	Fields: []vmstate.Field[transmitter]{
		vmstate.Of("sum_needed", func(t *transmitter) *uint8 { return &t.sums }),
		vmstate.Of("props.ipcss", func(t *transmitter) *uint8 { return &t.ipStart }),
		vmstate.Of("props.ipcso", func(t *transmitter) *uint8 { return &t.ipAt }),
		vmstate.Of("props.ipcse", func(t *transmitter) *uint16 { return &t.ipEnd }),
		vmstate.Of("props.tucss", func(t *transmitter) *uint8 { return &t.tcpStart }),
		vmstate.Of("props.tucso", func(t *transmitter) *uint8 { return &t.tcpAt }),
		vmstate.Of("props.tucse", func(t *transmitter) *uint16 { return &t.tcpEnd }),
		vmstate.Of("props.hdr_len", func(t *transmitter) *uint8 { return &t.header }),
		vmstate.Of("props.mss", func(t *transmitter) *uint16 { return &t.mss }),
		vmstate.Of("props.paylen", func(t *transmitter) *uint32 { return &t.payload }),
		vmstate.Of("props.ip", func(t *transmitter) *int8 { return &t.ip }),
		vmstate.Of("props.tcp", func(t *transmitter) *int8 { return &t.tcp }),
		vmstate.Of("props.tse", func(t *transmitter) *bool { return &t.segment }),
		vmstate.Of("cptse", func(t *transmitter) *bool { return &t.segmented }),
		vmstate.Of("skip_cp", func(t *transmitter) *bool { return &t.skip }),
	}}

func delayField(name string, at func(*Device) *delay) vmstate.Field[Device] {
	return vmstate.Struct(name, &delayState, at)
}

// state is what migrates, in QEMU's layout.
var state = vmstate.Description[Device]{Name: "e1000e", Version: 1, MinVersion: 1,
	PreSave: (*Device).settle,
	Fields: []vmstate.Field[Device]{
		vmstate.Struct("parent_obj", &pci.State, func(d *Device) *pci.Device { return &d.Device }),
		vmstate.Struct("parent_obj", &pci.MSIXState, func(d *Device) *pci.Device { return &d.Device }),
		vmstate.Of("ioaddr", func(d *Device) *uint32 { return &d.ioAddr }),
		vmstate.Of("core.rxbuf_min_shift", func(d *Device) *uint32 { return &d.rxShift }),
		vmstate.Of("core.rx_desc_len", func(d *Device) *uint8 { return &d.rxDesc }),
		vmstate.Array("core.rxbuf_sizes", func(d *Device) []uint32 { return d.rxSizes[:] }),
		vmstate.Of("core.rx_desc_buf_size", func(d *Device) *uint32 { return &d.rxSize }),
		vmstate.Array("core.eeprom", func(d *Device) []uint16 { return d.rom[:] }),
		vmstate.Array("core.phy", func(d *Device) []uint16 { return d.saved[:] }),
		vmstate.Array("core.mac", func(d *Device) []uint32 { return d.mac[:] }),
		vmstate.Array("core.permanent_mac", func(d *Device) []uint8 { return d.perm[:] }),
		vmstate.Of("core.delayed_causes", func(d *Device) *uint32 { return &d.delayed }),
		vmstate.Of("subsys", func(d *Device) *uint16 { return &d.hasSub[0] }),
		vmstate.Of("subsys_ven", func(d *Device) *uint16 { return &d.hasSub[1] }),
		delayField("core.rdtr", func(d *Device) *delay { return &d.rdtr }),
		delayField("core.radv", func(d *Device) *delay { return &d.radv }),
		delayField("core.raid", func(d *Device) *delay { return &d.raid }),
		delayField("core.tadv", func(d *Device) *delay { return &d.tadv }),
		delayField("core.tidv", func(d *Device) *delay { return &d.tidv }),
		delayField("core.itr", func(d *Device) *delay { return &d.itr }),
		vmstate.Of("core.itr_intr_pending", func(d *Device) *bool { return &d.itrPending }),
		vmstate.Structs("core.eitr", &delayState, func(d *Device) []delay { return d.eitr[:] }),
		vmstate.Array("core.eitr_intr_pending", func(d *Device) []bool { return d.eitrPending[:] }),
		vmstate.Of("core.itr_guest_value", func(d *Device) *uint32 { return &d.itrSet }),
		vmstate.Array("core.eitr_guest_value", func(d *Device) []uint32 { return d.eitrSet[:] }),
		vmstate.Of("core.vet", func(d *Device) *uint16 { return &d.vet }),
		vmstate.Structs("core.tx", &queueState, func(d *Device) []transmitter { return d.queues[:] }),
	},
	PostLoad: (*Device).loaded,
}

// settle prepares fields of the stream. A negotiation under way is finished, so that the link's state can be told from what is sent.
func (d *Device) settle() {
	if d.wire.LinkDown() && d.negotiates() {
		d.phy[0][phyStatus] |= srComplete
		d.flowControl()
	}
	for p := range d.phy {
		copy(d.saved[p*phyPageRegs:], d.phy[p][:])
	}
	d.hasSub = [2]uint16{d.SubDevice, d.SubVendor}
}

// loaded takes over what was loaded.
func (d *Device) loaded(int) error {
	if d.hasSub != [2]uint16{d.SubDevice, d.SubVendor} {
		return errors.New("ERROR: Cannot migrate while device properties (subsys/subsys_ven) differ")
	}
	for p := range d.phy {
		copy(d.phy[p][:], d.saved[p*phyPageRegs:])
	}
	if d.rxDesc != maxDesc && d.rxDesc != 0 {
		d.rxDesc = unit
	}
	if d.splitAsked() && d.rxDesc != 0 {
		d.rxDesc = maxDesc
	}
	sum := uint32(0)
	for i, n := range d.rxSizes {
		d.rxSizes[i] = min(n, 64<<10)
		sum += d.rxSizes[i]
	}
	d.rxSize = sum
	d.wire.SetLinkDown(d.mac[regSTATUS]&statusLU == 0)
	for _, t := range d.timers() {
		if t.running {
			t.start()
		}
	}
	if d.negotiates() && d.phy[0][phyStatus]&srComplete == 0 {
		d.wire.SetLinkDown(false)
		d.autoneg.Mod(clock.Virtual.Now() + autonegNS)
	}
	return nil
}
