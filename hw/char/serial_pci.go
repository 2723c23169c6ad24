package char

import (
	"fmt"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Identities of the PCI cards (QEMU's docs/specs/pci-serial.rst); that of one with several ports is that of the first one and their number.
const (
	pciSerialDevice   = 2
	pciSerialRevision = 1
	maxPCISerial      = 4
	defaultBaudBase   = 115200
)

// PCISerial is the device type pci-serial: a port on a PCI card.
type PCISerial struct {
	pci.Device
	Chardev  *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`
	BaudBase uint32           `prop:"baudbase,default=115200"`
	Wakeup   bool             `prop:"wakeup,default=false"`
	ProgIf   uint8            `prop:"prog_if,default=2"`
	uart     uart
}

// PCISerialClass is the type pci-serial.
var PCISerialClass = qdev.Class{Name: "pci-serial", Bus: pci.BusType, Category: qdev.Input, Parents: []string{"pci-device", "device"},
	New: func() qdev.Device { return new(PCISerial) },
	State: qdev.State(&vmstate.Description[PCISerial]{Name: "pci-serial", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PCISerial]{
		vmstate.Struct("dev", &pci.State, func(s *PCISerial) *pci.Device { return &s.Device }),
		vmstate.Struct("state", &uartState, func(s *PCISerial) *uart { return &s.uart }),
	}})}

// PCIInfo implements pci.Function.
func (s *PCISerial) PCIInfo() pci.Info { return pciSerialInfo(1, s.ProgIf) }

func pciSerialInfo(ports int, progIf uint8) pci.Info {
	return pci.Info{Vendor: pci.VendorRedHat, Device: pciSerialDevice + uint16(ports/2), Class: pci.ClassCommSerial, Revision: pciSerialRevision, ProgIf: progIf}
}

// Realize implements qdev.Device.
func (s *PCISerial) Realize() error {
	s.SetInterruptPin(1)
	s.uart.irq, s.uart.baudBase = s.INTx(), s.BaudBase
	if err := s.uart.realize(s.Chardev); err != nil {
		return err
	}
	s.SetBAR(0, pci.BARIO, uartRegion("serial", &s.uart))
	return nil
}

// uartRegion is the registers of a port.
func uartRegion(name string, u *uart) *memory.Region {
	r := memory.NewIO(name, uartPorts, u)
	r.Impl = memory.Access{Min: 1, Max: 1}
	return r
}

// Unrealize implements qdev.Device.
func (s *PCISerial) Unrealize() { s.uart.unrealize() }

// Reset implements qdev.Device.
func (s *PCISerial) Reset() { s.uart.reset() }

// multiSerial is what cards with several ports share. Their state has room for as many ports as there can be; those that are not there have
// nothing in it that is told apart from the registers.
type multiSerial struct {
	pci.Device
	ProgIf uint8 `prop:"prog_if,default=2"`
	ports  int
	uarts  [maxPCISerial]uart
	level  [maxPCISerial]uint32 // of the ports' interrupts
}

// realizePorts makes as many ports as there are endpoints, which may be nil.
func (m *multiSerial) realizePorts(chardevs ...*chardev.Backend) error {
	m.SetInterruptPin(1)
	m.ports = len(chardevs)
	card := memory.NewContainer("multiserial", uint64(uartPorts*m.ports))
	for i := range m.uarts {
		u := &m.uarts[i]
		u.baudBase = defaultBaudBase
		u.irq = qdev.NewIRQ(m.setLevel, i)
		var c *chardev.Backend
		if i < m.ports {
			c = chardevs[i]
			card.Add(uartRegion(fmt.Sprintf("uart #%d", i+1), u), uint64(uartPorts*i), 0)
		}
		if err := u.realize(c); err != nil {
			m.Unrealize()
			return err
		}
		if i >= m.ports {
			u.pollMSL = pollingOff
		}
	}
	m.SetBAR(0, pci.BARIO, card)
	return nil
}

// setLevel takes over the interrupt line of a port: any of them drives the card's.
func (m *multiSerial) setLevel(port int, level bool) {
	m.level[port] = 0
	if level {
		m.level[port] = 1
	}
	m.SetINTx(m.level != [maxPCISerial]uint32{})
}

// Unrealize implements qdev.Device.
func (m *multiSerial) Unrealize() {
	for i := range m.uarts {
		if u := &m.uarts[i]; u.timeout != nil {
			u.unrealize()
		}
	}
}

// Reset implements qdev.Device.
func (m *multiSerial) Reset() {
	for i := range m.ports {
		m.uarts[i].reset()
	}
}

// PCISerial2 is the device type pci-serial-2x.
type PCISerial2 struct {
	multiSerial
	Chardev1 *chardev.Backend `prop:"chardev1" help:"ID of a chardev to use as a backend"`
	Chardev2 *chardev.Backend `prop:"chardev2" help:"ID of a chardev to use as a backend"`
}

// PCISerial4 is the device type pci-serial-4x.
type PCISerial4 struct {
	multiSerial
	Chardev1 *chardev.Backend `prop:"chardev1" help:"ID of a chardev to use as a backend"`
	Chardev2 *chardev.Backend `prop:"chardev2" help:"ID of a chardev to use as a backend"`
	Chardev3 *chardev.Backend `prop:"chardev3" help:"ID of a chardev to use as a backend"`
	Chardev4 *chardev.Backend `prop:"chardev4" help:"ID of a chardev to use as a backend"`
}

// PCISerial2Class is the type pci-serial-2x, PCISerial4Class the type pci-serial-4x.
var (
	PCISerial2Class = qdev.Class{Name: "pci-serial-2x", Bus: pci.BusType, Category: qdev.Input, Parents: []string{"pci-device", "device"},
		New: func() qdev.Device { return new(PCISerial2) }, State: qdev.State(multiState(func(s *PCISerial2) *multiSerial { return &s.multiSerial }))}
	PCISerial4Class = qdev.Class{Name: "pci-serial-4x", Bus: pci.BusType, Category: qdev.Input, Parents: []string{"pci-device", "device"},
		New: func() qdev.Device { return new(PCISerial4) }, State: qdev.State(multiState(func(s *PCISerial4) *multiSerial { return &s.multiSerial }))}
)

func multiState[T any](at func(*T) *multiSerial) *vmstate.Description[T] {
	return &vmstate.Description[T]{Name: "pci-serial-multi", Version: 1, MinVersion: 1, Fields: []vmstate.Field[T]{
		vmstate.Struct("dev", &pci.State, func(t *T) *pci.Device { return &at(t).Device }),
		vmstate.Structs("state", &uartState, func(t *T) []uart { return at(t).uarts[:] }),
		vmstate.Array("level", func(t *T) []uint32 { return at(t).level[:] }),
	}}
}

// PCIInfo implements pci.Function.
func (s *PCISerial2) PCIInfo() pci.Info { return pciSerialInfo(2, s.ProgIf) }

// Realize implements qdev.Device.
func (s *PCISerial2) Realize() error { return s.realizePorts(s.Chardev1, s.Chardev2) }

// PCIInfo implements pci.Function.
func (s *PCISerial4) PCIInfo() pci.Info { return pciSerialInfo(4, s.ProgIf) }

// Realize implements qdev.Device.
func (s *PCISerial4) Realize() error {
	return s.realizePorts(s.Chardev1, s.Chardev2, s.Chardev3, s.Chardev4)
}
