// Package bridge is the bridges of PCI and the ports of PCI Express, with the slots behind them into which devices are plugged.
package bridge

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/pci"
)

// model says how the kinds of PCI Express ports differ; zero means that a capability is absent or has no fixed place.
type model struct {
	vendor       uint16
	device       uint16
	revision     uint8
	typ          pci.ExpressType
	atExpress    int
	atSSVID      int
	ssVendor     uint16
	atMSI        int
	msiVectors   int  // with 32-bit addresses and masks if more than one
	msix         bool // one vector in a BAR of its own
	acs          bool
	functionOnly bool // offers the reset of the function alone
}

// Extended capabilities: advanced error reporting and access control services (PCI Express Base Specification 3.0, sections 7.10 and 7.16).
const (
	atErrors   = pci.ConfigSize
	errorsSize = pci.ErrorsSize
	atAccess   = atErrors + errorsSize
	accessSize = 8

	extAccess, extAccessVersion = 0xd, 1

	errRootCommand, errRootStatus = 0x2c, 0x30

	errRootEnable = 0x07
	errRootSeen   = 0x7f
	errRootVector = 27 // shift

	accessCap, accessControl = 4, 6
	accessAll                = 0x5f // all but peer-to-peer egress control

	ctlSERR           = 1 << 1
	ctlNotExpress     = 0x0fa0 // bits of the bridge control register that PCI Express lacks
	secondarySERR     = 1 << 14
	maxLog            = 128
	expRootCtl        = 28
	expErrorReports   = 0xf
	expForwardARI     = 1 << 5
	rootErrorsEnabled = 7
)

// expressBridge is what all bridges with a PCI Express capability share.
type expressBridge struct {
	pci.Bridge
	model *model
}

// port is what all PCI Express ports share.
type port struct {
	expressBridge
	Port   uint8  `prop:"port,default=0"`
	LogMax uint16 `prop:"aer_log_max,default=8"`
}

func (p *expressBridge) setModel(m *model) { p.model = m }

// PCIInfo implements pci.Function.
func (p *expressBridge) PCIInfo() pci.Info {
	m := p.model
	return pci.Info{Vendor: m.vendor, Device: m.device, Class: pci.ClassBridgePCI, Revision: m.revision, Express: true, Bridge: true}
}

// realize makes the bus and the capabilities that all ports have, in QEMU's order; slot adds those of a port with a slot.
func (p *port) realize(slot func() error) error {
	m := p.model
	if m.typ == pci.ExpressRootPort {
		p.SetInterruptPin(1)
	}
	p.InitBridge(true, "")
	p.Set16(pci.RegStatus, p.Get16(pci.RegStatus)&pci.StatusCapList)
	p.Set16(pci.RegSecondaryStatus, 0)
	p.SetWritable16(pci.RegBridgeControl, binary.LittleEndian.Uint16(p.Writable[pci.RegBridgeControl:])&^ctlNotExpress)
	steps := []func() error{p.interrupts, p.subsystem}
	if m.typ == pci.ExpressRootPort {
		steps = []func() error{p.subsystem, p.interrupts}
	}
	for _, f := range append(steps, p.express, slot, p.errors) {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (p *port) interrupts() error {
	switch m := p.model; {
	case m.msix:
		if err := p.AddMSIXBar(1, 0, p.Class().Name+"-msix"); err != nil {
			return err
		}
		p.UseVector(0)
		return nil
	case m.msiVectors > 1:
		return p.AddMSI32(m.atMSI, m.msiVectors)
	default:
		return p.AddMSI(m.atMSI, m.msiVectors, false)
	}
}

func (p *port) subsystem() error {
	at, err := p.AddCapability(pci.CapSSVID, p.model.atSSVID, 8)
	if err == nil {
		p.Set16(at+4, p.model.ssVendor)
	}
	return err
}

func (p *port) express() error {
	m := p.model
	if _, err := p.AddExpress(m.atExpress, m.typ, p.Port); err != nil {
		return err
	}
	if m.functionOnly {
		p.AddFunctionReset()
	}
	p.AddErrorControl()
	return nil
}

// forwardARI offers to forward alternative routing identifiers.
func (p *expressBridge) forwardARI() {
	at := p.ExpressCapability()
	p.Set32(at+pci.ExpDevCap2, p.Get32(at+pci.ExpDevCap2)|expForwardARI)
	p.MakeWritable16(at+pci.ExpDevCtl2, expForwardARI)
}

// errors adds advanced error reporting.
func (p *port) errors() error {
	if p.LogMax > maxLog {
		return fmt.Errorf("Invalid aer_log_max %d. The max number of aer log is %d", p.LogMax, maxLog)
	}
	p.addErrors(p.LogMax > 0)
	return nil
}

// addErrors adds advanced error reporting, with a log of several errors or not. No error ever happens here.
func (p *expressBridge) addErrors(several bool) {
	p.AddErrorReporting(atErrors, several)
	if p.model.typ != pci.ExpressToPCI {
		p.MakeWritable16(pci.RegBridgeControl, ctlSERR)
		binary.LittleEndian.PutUint16(p.ClearOnes[pci.RegStatus:], binary.LittleEndian.Uint16(p.ClearOnes[pci.RegStatus:])|secondarySERR)
	}
	if p.model.typ == pci.ExpressRootPort {
		p.SetWritable32(atErrors+errRootCommand, errRootEnable)
		binary.LittleEndian.PutUint32(p.ClearOnes[atErrors+errRootStatus:], errRootSeen)
	}
	if p.model.acs {
		p.AddExtended(extAccess, extAccessVersion, atAccess, accessSize)
		p.Set16(atAccess+accessCap, accessAll)
		p.SetWritable16(atAccess+accessControl, accessAll)
	}
}

// resetErrors switches error reports off.
func (p *port) resetErrors() {
	at := p.ExpressCapability() + pci.ExpDevCtl
	p.Set16(at, p.Get16(at)&^expErrorReports)
}

// upstream is the port of a switch towards the root complex.
type upstream struct{ port }

// Realize implements qdev.Device.
func (u *upstream) Realize() error { return u.realize(func() error { return nil }) }

// Reset implements qdev.Device.
func (u *upstream) Reset() {
	u.ResetBridge()
	u.resetErrors()
}
