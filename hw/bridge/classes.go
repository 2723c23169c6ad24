package bridge

import (
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// The models of PCI Express ports.
var (
	modelRootPort = model{vendor: pci.VendorRedHat, device: deviceRootPort, typ: pci.ExpressRootPort, ssVendor: pci.VendorRedHat, msix: true, acs: true}
	modelIOH      = model{vendor: pci.VendorIntel, device: deviceIOH, revision: 2, typ: pci.ExpressRootPort, atExpress: 0x90, atSSVID: 0x40,
		ssVendor: pci.VendorIntel, atMSI: 0x60, msiVectors: 2}
	modelUpstream = model{vendor: pci.VendorTI, device: deviceUpstream, revision: 2, typ: pci.ExpressUpstream, atExpress: 0x90, atSSVID: 0x80,
		atMSI: 0x70, msiVectors: 1, functionOnly: true}
	modelDownstream = model{vendor: pci.VendorTI, device: deviceDownstream, revision: 1, typ: pci.ExpressDownstream, atExpress: 0x90, atSSVID: 0x80,
		atMSI: 0x70, msiVectors: 1, functionOnly: true}
	modelToPCI = model{vendor: pci.VendorRedHat, device: deviceExpressPCI, typ: pci.ExpressToPCI}
)

// loggedError is an entry of the log of advanced errors; there never is one.
type loggedError struct {
	status         uint32
	source, flags  uint16
	header, prefix [4]uint32
}

var loggedErrorState = vmstate.Description[loggedError]{Name: "PCIE_AER_ERROR", Version: 1, MinVersion: 1, Fields: []vmstate.Field[loggedError]{
	vmstate.Of("status", func(e *loggedError) *uint32 { return &e.status }),
	vmstate.Of("source_id", func(e *loggedError) *uint16 { return &e.source }),
	vmstate.Of("flags", func(e *loggedError) *uint16 { return &e.flags }),
	vmstate.Array("header", func(e *loggedError) []uint32 { return e.header[:] }),
	vmstate.Array("prefix", func(e *loggedError) []uint32 { return e.prefix[:] }),
}}

// logState is the log of a port: the number of entries, which is zero, how many there may be, and the entries.
var logState = vmstate.Description[port]{Name: "PCIE_AER_ERROR_LOG", Version: 1, MinVersion: 1, Fields: []vmstate.Field[port]{
	vmstate.Computed("log_num", func(*port) uint16 { return 0 }, func(*port, uint16) {}),
	vmstate.Computed("log_max", func(p *port) uint16 { return p.LogMax }, func(*port, uint16) {}),
	vmstate.Structs("log", &loggedErrorState, func(*port) []loggedError { return nil }),
}}

// portFields are the fields of a port; prefix is the path to the PCI device in QEMU's struct.
func portFields[T any](prefix string, at func(*T) *port) []vmstate.Field[T] {
	return []vmstate.Field[T]{
		vmstate.Struct(prefix, &pci.State, func(t *T) *pci.Device { return &at(t).Device }),
		vmstate.Struct(prefix+".exp.aer_log", &logState, at),
	}
}

const slotPrefix = "parent_obj.parent_obj.parent_obj"

var (
	rootPortState = vmstate.Description[genericRootPort]{Name: "pcie-root-port", Version: 1, MinVersion: 1,
		Fields: append(portFields(slotPrefix, func(g *genericRootPort) *port { return &g.port }),
			vmstate.Struct(slotPrefix+".parent_obj", &pci.MSIXState, func(g *genericRootPort) *pci.Device { return &g.Device }).
				When(func(g *genericRootPort) bool { return g.MigrateMSIX })),
		PostLoad: func(g *genericRootPort, _ int) error { g.loaded(); return nil }}
	iohState = vmstate.Description[intelRootPort]{Name: "ioh-3240-express-root-port", Version: 1, MinVersion: 1,
		Fields:   portFields(slotPrefix, func(i *intelRootPort) *port { return &i.port }),
		PostLoad: func(i *intelRootPort, _ int) error { i.loaded(); return nil }}
	upstreamState = vmstate.Description[upstream]{Name: "xio3130-express-upstream-port", Version: 1, MinVersion: 1,
		Fields: portFields("parent_obj.parent_obj", func(u *upstream) *port { return &u.port })}
	downstreamState = vmstate.Description[downstream]{Name: "xio3130-express-downstream-port", Version: 1, MinVersion: 1,
		Fields:   portFields(slotPrefix, func(d *downstream) *port { return &d.port }),
		PostLoad: func(d *downstream, _ int) error { d.loaded(); return nil }}
	pciBridgeState = vmstate.Description[pciBridge]{Name: "pci_bridge",
		Fields: []vmstate.Field[pciBridge]{
			vmstate.Struct("parent_obj", &pci.State, func(b *pciBridge) *pci.Device { return &b.Device }),
			shpcField(func(b *pciBridge) *shpc { return &b.slots }).When(func(b *pciBridge) bool { return b.SHPC }),
		}}
	expressToPCIState = vmstate.Description[expressToPCI]{Name: "pcie-pci-bridge",
		Fields: []vmstate.Field[expressToPCI]{
			vmstate.Struct("parent_obj", &pci.State, func(b *expressToPCI) *pci.Device { return &b.Device }),
			shpcField(func(b *expressToPCI) *shpc { return &b.slots }),
		}}
	dmiToPCIState = vmstate.Description[dmiToPCI]{Name: "i82801b11_bridge",
		Fields: []vmstate.Field[dmiToPCI]{vmstate.Struct("parent_obj", &pci.State, func(b *dmiToPCI) *pci.Device { return &b.Device })}}
)

// Ancestors of the types.
var (
	ofBridge = []string{"base-pci-bridge", "pci-device", "device"}
	ofPort   = append([]string{"pcie-port"}, ofBridge...)
	ofSlot   = append([]string{"pcie-slot"}, ofPort...)
	ofRoot   = append([]string{"pcie-root-port-base"}, ofSlot...)
)

// made returns a function that makes a T of a model.
func made[T any, P interface {
	*T
	qdev.Device
	setModel(*model)
}](m *model) func() qdev.Device {
	return func() qdev.Device {
		d := P(new(T))
		d.setModel(m)
		return d
	}
}

// Classes lists the device types.
func Classes() []*qdev.Class {
	seat := func(name, desc string, device uint16) *qdev.Class {
		c := &qdev.Class{Name: name, Parents: ofBridge, Bus: pci.BusType, Desc: desc, Category: qdev.Bridge,
			New: func() qdev.Device { return &pciBridge{device: device} }, State: qdev.State(&pciBridgeState)}
		if name != "pci-bridge" {
			c.Parents = append([]string{"pci-bridge"}, ofBridge...)
		}
		return c
	}
	return []*qdev.Class{
		{Name: "pcie-root-port", Parents: ofRoot, Bus: pci.BusType, Desc: "PCI Express Root Port", Category: qdev.Bridge,
			New: made[genericRootPort](&modelRootPort), State: qdev.State(&rootPortState)},
		{Name: "ioh3420", Parents: ofRoot, Bus: pci.BusType, Desc: "Intel IOH device id 3420 PCIE Root Port", Category: qdev.Bridge,
			New: made[intelRootPort](&modelIOH), State: qdev.State(&iohState)},
		{Name: "x3130-upstream", Parents: ofPort, Bus: pci.BusType, Desc: "TI X3130 Upstream Port of PCI Express Switch", Category: qdev.Bridge,
			New: made[upstream](&modelUpstream), State: qdev.State(&upstreamState)},
		{Name: "xio3130-downstream", Parents: ofSlot, Bus: pci.BusType, Desc: "TI X3130 Downstream Port of PCI Express Switch", Category: qdev.Bridge,
			New: made[downstream](&modelDownstream), State: qdev.State(&downstreamState)},
		{Name: "pcie-pci-bridge", Parents: ofBridge, Bus: pci.BusType, Category: qdev.Bridge,
			New: made[expressToPCI](&modelToPCI), State: qdev.State(&expressToPCIState)},
		seat("pci-bridge", "Standard PCI Bridge", deviceBridge),
		seat("pci-bridge-seat", "Standard PCI Bridge (multiseat)", deviceBridgeSeat),
		{Name: "i82801b11-bridge", Parents: ofBridge, Bus: pci.BusType, Category: qdev.Bridge,
			New: func() qdev.Device { return new(dmiToPCI) }, State: qdev.State(&dmiToPCIState)},
	}
}
