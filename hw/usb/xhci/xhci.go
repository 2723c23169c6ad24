// Package xhci is the eXtensible Host Controller Interface (revision 1.0) for devices of all speeds: nec-usb-xhci and qemu-xhci.
package xhci

import (
	"encoding/binary"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

var le = binary.LittleEndian

// commonProps are the options of both types.
type commonProps struct {
	Streams bool   `prop:"streams,default=true" help:"on/off"`
	P2      uint32 `prop:"p2,default=4"`
	P3      uint32 `prop:"p3,default=4"`
}

// NECProps are those of nec-usb-xhci. The last four change nothing: QEMU settles on their defaults before it hears of the user's wishes.
type NECProps struct {
	MSI        qdev.OnOffAuto `prop:"msi,default=auto" help:"on/off/auto"`
	MSIX       qdev.OnOffAuto `prop:"msix,default=auto" help:"on/off/auto"`
	SuperFirst bool           `prop:"superspeed-ports-first,default=true" help:"on/off"`
	ForcePCIe  bool           `prop:"force-pcie-endcap,default=false" help:"on/off"`
	Intrs      uint32         `prop:"intrs,default=16"`
	Slots      uint32         `prop:"slots,default=64"`
}

// port is a port as the driver sees it: each connector is one for USB 2 and one for USB 3.
type port struct {
	c      *Controller
	number uint8 // from 1 on
	con    *usb.Port
	speeds usb.Mask
	status uint32
}

// interrupter is an interrupter with its event ring.
type interrupter struct {
	manage, moderate, tableSize uint32
	table                       [2]uint32
	dequeue                     [2]uint32
	used, cycle, full           bool
	start                       uint64
	size, index                 uint32
}

// Controller is a controller of either type.
type Controller struct {
	pci.Device
	commonProps

	nec  bool
	bus  usb.Bus
	cons []*usb.Port

	ports        []port
	slots        []slot
	interrupters []interrupter
	regs
	wrap *clock.Timer
	// mastering is set while the controller reaches for memory: its own registers do not answer then.
	mastering bool
}

// regs are registers that migrate.
type regs struct {
	command, status, notify, config uint32
	ringReg, contexts               [2]uint32
	start                           int64 // of the count of microframes
	ring                            ring  // of commands
}

// NEC is the device type nec-usb-xhci, QEMU the type qemu-xhci.
type (
	NEC struct {
		Controller
		NECProps
	}
	QEMU struct{ Controller }
)

// Realize implements qdev.Device.
func (n *NEC) Realize() error {
	n.nec, n.Streams = true, false // QEMU forgets about the streams
	return n.realize(n, n.MSI, n.MSIX)
}

// Realize implements qdev.Device.
func (q *QEMU) Realize() error {
	return q.realize(q, qdev.Off, qdev.Auto)
}

// PCIInfo implements pci.Function.
func (n *NEC) PCIInfo() pci.Info {
	return pci.Info{Vendor: 0x1033, Device: 0x0194, Revision: 3, Class: pci.ClassSerialUSB, ProgIf: progIfXHCI, Express: true}
}

// PCIInfo implements pci.Function.
func (q *QEMU) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorRedHat, Device: 0x000d, Revision: 1, Class: pci.ClassSerialUSB, ProgIf: progIfXHCI, Express: true}
}

// Configuration space.
const (
	progIfXHCI                        = 0x30
	cfgRelease                        = 0x60
	release30                         = 0x30
	cacheLine                         = 0x10
	capMSIAt, capMSIXAt, capExpressAt = 0x70, 0x90, 0xa0
)

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	parents := []string{"pci-xhci", "pci-device", "device"}
	return []*qdev.Class{
		{Name: "nec-usb-xhci", Bus: pci.BusType, Category: qdev.USB, Parents: parents, New: func() qdev.Device { return new(NEC) },
			State: func(d qdev.Device) vmState { return pciState.Bind(&d.(*NEC).Controller) }},
		{Name: "qemu-xhci", Bus: pci.BusType, Category: qdev.USB, Parents: parents, New: func() qdev.Device { return new(QEMU) },
			State: func(d qdev.Device) vmState { return pciState.Bind(&d.(*QEMU).Controller) }},
	}
}

// realize makes the controller of the device self.
func (c *Controller) realize(self qdev.Device, msi, msix qdev.OnOffAuto) error {
	c.SetInterruptPin(1)
	c.Config[cfgRelease], c.Config[pci.RegCacheLine] = release30, cacheLine
	c.P2, c.P3 = min(c.P2, maxPorts), min(c.P3, maxPorts)
	c.interrupters, c.slots, c.ports = make([]interrupter, maxInterrupters), make([]slot, maxSlots), make([]port, c.P2+c.P3)
	c.status = stsHalted
	usb.InitBus(&c.bus, self)
	c.bus.WakeupEndpoint = c.wakeupEndpoint
	c.makePorts()
	c.wrap = mainloop.NewTimer(clock.Virtual, c.wrapped)
	bar := c.region()
	if msi != qdev.Off {
		if err := c.AddMSI(capMSIAt, maxInterrupters, false); err != nil {
			return err
		}
	}
	c.SetBAR(0, pci.BARMem64, bar)
	if c.Bus().Express() {
		if err := c.AddEndpoint(capExpressAt); err != nil {
			return err
		}
	}
	if msix != qdev.Off {
		return c.AddMSIX(pci.MSIXLayout{Entries: maxInterrupters, TableOff: tableAt, PBAOffset: pendingAt, CapAt: capMSIXAt}, bar, bar)
	}
	return nil
}

// makePorts makes the connectors and what the driver sees of them: ports of SuperSpeed, then those of the other speeds.
func (c *Controller) makePorts() {
	for i := range max(c.P2, c.P3) {
		p := &usb.Port{Index: int(i)}
		add := func(at uint32, speeds usb.Mask) {
			c.ports[at] = port{c: c, number: uint8(at + 1), con: p, speeds: speeds}
			p.Speeds |= speeds
		}
		if i < c.P2 {
			add(c.P3+i, usb.Speeds(usb.Low, usb.Full, usb.High))
		}
		if i < c.P3 {
			add(i, usb.Speeds(usb.Super))
		}
		p.Attach = func() { c.visible(p).update(false) }
		p.Detach = func() { c.dropSlot(p); c.visible(p).update(true) }
		p.ChildDetach = func(d *usb.Device) { c.dropSlot(d.Port()) }
		p.Wakeup = func() { c.visible(p).resume() }
		c.bus.AddPort(p)
		c.cons = append(c.cons, p)
	}
}

// visible is the port at which the driver sees the device of a connector.
func (c *Controller) visible(p *usb.Port) *port {
	for i := range c.ports {
		if o := &c.ports[i]; o.con == p && o.speeds.Has(p.Device().Speed()) {
			return o
		}
	}
	panic("BUG: device of a speed that its port lacks")
}

// Unrealize implements qdev.Device.
func (c *Controller) Unrealize() {
	for i := range c.slots {
		c.disableSlot(i)
	}
	c.wrap.Del()
}

// Reset implements qdev.Device.
func (c *Controller) Reset() {
	c.regs = regs{ring: c.ring, status: stsHalted} // without contexts, the driver's memory is left alone from here on
	for i := range c.slots {
		c.disableSlot(i)
	}
	for i := range c.ports {
		c.ports[i].update(false)
	}
	for i := range c.interrupters {
		v := &c.interrupters[i]
		*v = interrupter{cycle: true, used: v.used, start: v.start, size: v.size}
	}
	c.start = clock.Virtual.Now()
	c.setWrap()
}

// die tells the driver that the controller has failed.
func (c *Controller) die() { c.status |= stsError }

func (c *Controller) running() bool { return c.status&stsHalted == 0 }

// frame is the count of microframes.
func (c *Controller) frame() uint64 { return uint64(clock.Virtual.Now()-c.start) / microframe }

func (c *Controller) setWrap() {
	if c.command&(cmdRun|cmdWrap) != cmdRun|cmdWrap {
		c.wrap.Del()
		return
	}
	left := wrapAt - c.frame()%wrapAt
	c.wrap.Mod(clock.Virtual.Now() + int64(left)*microframe)
}

func (c *Controller) wrapped() {
	c.event(0, event{typ: erWrap, code: ccSuccess})
	c.setWrap()
}

// words reads words from memory; where there is none the controller fails.
func (c *Controller) words(addr uint64, w []uint32) {
	b := make([]byte, 4*len(w))
	c.mastering = true
	r := c.DMA().Read(addr, b)
	c.mastering = false
	if r != memory.OK {
		c.die()
		for i := range b {
			b[i] = 0xff
		}
	}
	for i := range w {
		w[i] = le.Uint32(b[4*i:])
	}
}

func (c *Controller) putWords(addr uint64, w ...uint32) {
	b := make([]byte, 0, 4*len(w))
	for _, v := range w {
		b = le.AppendUint32(b, v)
	}
	c.mastering = true
	r := c.DMA().Write(addr, b)
	c.mastering = false
	if r != memory.OK {
		c.die()
	}
}

func join(w [2]uint32) uint64 { return uint64(w[0]) | uint64(w[1])<<32 }
