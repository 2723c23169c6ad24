package ich9

import (
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// The SMBus function (ICH9 data sheet, §19).
const (
	smbDevice, smbRevision   = 0x2930, 2
	DevFnSMBus               = 31<<3 | 3
	smbBAR, smbPorts         = 4, 64
	regHostConfig            = 0x40
	hostOn, hostI2C, hostRST = 0x01, 0x04, 0x08
)

// SMBus is the device type ICH9-SMB.
type SMBus struct {
	pci.Device
	smb   pm.SMBus
	irqOn bool
	io    *memory.Region
}

// SMBusClass is the device type.
var SMBusClass = qdev.Class{Name: "ICH9-SMB", Bus: pci.BusType, Desc: "ICH9 SMBUS Bridge", Internal: true, Category: qdev.Other,
	New: func() qdev.Device { return new(SMBus) }, State: qdev.State(&smbState)}

var smbState = vmstate.Description[SMBus]{Name: "ich9_smb", Version: 1, MinVersion: 1, Fields: []vmstate.Field[SMBus]{
	vmstate.Struct("dev", &pci.State, func(s *SMBus) *pci.Device { return &s.Device }),
	vmstate.Of("irq_enabled", func(s *SMBus) *bool { return &s.irqOn }).When(func(*SMBus) bool { return true }),
	vmstate.Struct("smb", &pm.SMBusState, func(s *SMBus) *pm.SMBus { return &s.smb }).When(func(*SMBus) bool { return true }).Since(1),
}}

// NewSMBus puts the function on the bus.
func NewSMBus(tree *qdev.Tree, bus *pci.Bus) (*SMBus, error) {
	d, err := tree.New(&SMBusClass)
	if err != nil {
		return nil, err
	}
	s := d.(*SMBus)
	s.Addr = DevFnSMBus
	return s, qdev.Realize(s, bus)
}

// PCIInfo implements pci.Function.
func (s *SMBus) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: smbDevice, Revision: smbRevision, Class: pci.ClassSerialSMBus, MultiFunction: true}
}

// Realize implements qdev.Device.
func (s *SMBus) Realize() error {
	s.SetInterruptPin(1)
	s.smb.Init()
	s.smb.SetIRQ = func(on bool) {
		if on != s.irqOn {
			s.irqOn = on
			s.SetINTx(on)
		}
	}
	s.io = s.smb.Region(smbPorts)
	s.SetBAR(smbBAR, pci.BARIO, s.io)
	return nil
}

// WriteConfig implements pci.ConfigWriter.
func (s *SMBus) WriteConfig(addr, size int, v uint32) {
	s.DefaultWriteConfig(addr, size, v)
	if addr > regHostConfig || addr+size <= regHostConfig {
		return
	}
	host := s.Config[regHostConfig]
	s.io.SetEnabled(host&hostOn != 0)
	s.smb.SetI2C(host&hostI2C != 0)
	if host&hostRST != 0 {
		s.smb.Reset()
		s.Config[regHostConfig] &^= hostRST
	}
}

// Setup places and enables the registers, as firmware does.
func (s *SMBus) Setup(base uint32) {
	s.WriteConfig(pci.RegBAR0+4*smbBAR, 4, base|1)
	s.WriteConfig(regHostConfig, 1, hostOn)
}
