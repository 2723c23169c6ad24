// Package uhci is the Universal Host Controller Interface (Design Guide, revision 1.1), alone or as companion of an EHCI controller.
package uhci

import (
	"encoding/binary"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

var le = binary.LittleEndian

// commonProps are the options of all types.
type commonProps struct {
	Bandwidth uint32 `prop:"bandwidth,default=1280"`
	MaxFrames uint32 `prop:"maxframes,default=128"`
}

// companionProps are those of controllers that may be companions.
type companionProps struct {
	Master    string `prop:"masterbus"`
	FirstPort uint32 `prop:"firstport,default=0"`
}

// variant is what tells the types apart.
type variant struct {
	name     string
	device   uint16
	revision uint8
	pin      uint8
}

var alone = []variant{{"piix3-usb-uhci", 0x7020, 1, 4}, {"piix4-usb-uhci", 0x7112, 1, 4}}

var ich9 = []variant{
	{"ich9-usb-uhci1", 0x2934, 3, 1}, {"ich9-usb-uhci2", 0x2935, 3, 2}, {"ich9-usb-uhci3", 0x2936, 3, 3},
	{"ich9-usb-uhci4", 0x2937, 3, 1}, {"ich9-usb-uhci5", 0x2938, 3, 2}, {"ich9-usb-uhci6", 0x2939, 3, 3},
}

// port is a port of the root hub.
type port struct {
	usb.Port
	control uint16
}

// Controller is a controller of any of the types.
type Controller struct {
	pci.Device
	commonProps

	variant   *variant
	master    string
	firstPort uint32

	bus usb.Bus // not used by a companion
	regs
	ports [ports]port
	timer *clock.Timer

	frameBytes  uint32
	completions bool // only completions are looked at
	posted      bool
	queues      []*queue
}

// regs is the state that migrates.
type regs struct {
	numPorts                       uint8
	command, status, enable, frame uint16
	base                           uint32
	sof, status2                   uint8
	expire                         int64
	pending                        uint32 // causes for an interrupt at the end of the frame
}

// Companion is a controller that may be a companion.
type Companion struct {
	Controller
	companionProps
}

// Realize implements qdev.Device.
func (c *Companion) Realize() error {
	c.master, c.firstPort = c.Master, c.FirstPort
	return c.Controller.Realize()
}

// Classes are the device types of this package.
func Classes() (list []*qdev.Class) {
	parents := []string{"pci-uhci-usb", "pci-device", "device"}
	for i := range alone {
		v := &alone[i]
		list = append(list, &qdev.Class{Name: v.name, Bus: pci.BusType, Category: qdev.USB, Parents: parents,
			New: func() qdev.Device { return &Controller{variant: v} }, State: qdev.State(&state)})
	}
	for i := range ich9 {
		v := &ich9[i]
		list = append(list, &qdev.Class{Name: v.name, Bus: pci.BusType, Category: qdev.USB, Parents: parents, NoHotplug: true,
			New:   func() qdev.Device { return &Companion{Controller: Controller{variant: v}} },
			State: func(d qdev.Device) vmstate.State { return state.Bind(&d.(*Companion).Controller) }})
	}
	return list
}

// PCIInfo implements pci.Function.
func (c *Controller) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: c.variant.device, Revision: c.variant.revision, Class: pci.ClassSerialUSB}
}

// Realize implements qdev.Device.
func (c *Controller) Realize() error {
	c.Config[releaseNumber] = release10
	c.SetInterruptPin(c.variant.pin)
	var list []*usb.Port
	for i := range c.ports {
		p := &c.ports[i]
		p.Index, p.Speeds = i, usb.Speeds(usb.Low, usb.Full)
		p.Attach, p.Detach = func() { c.attached(p) }, func() { c.detached(p) }
		p.ChildDetach, p.Wakeup = c.dropDevice, func() { c.wakeup(p) }
		list = append(list, &p.Port)
	}
	if c.master != "" {
		if err := usb.Companion(c.Tree(), c.master, list, int(c.firstPort)); err != nil {
			return err
		}
	} else {
		usb.InitBus(&c.bus, c)
		for _, p := range list {
			c.bus.AddPort(p)
		}
	}
	c.numPorts = ports
	c.timer = mainloop.NewTimer(clock.Virtual, c.tick)
	r := memory.NewIO("uhci", regBytes, (*registers)(c))
	r.Valid, r.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 2, Max: 2}
	c.SetBAR(4, pci.BARIO, r)
	return nil
}

// Unrealize implements qdev.Device.
func (c *Controller) Unrealize() {
	c.timer.Del()
	c.dropAll()
}

// Reset implements qdev.Device.
func (c *Controller) Reset() {
	c.Config[legacyClock], c.Config[legacyClock+1] = 1, 0
	c.command, c.status, c.status2, c.enable, c.base, c.sof = 0, stsHalted, 0, 0, 0, initSOF
	for i := range c.ports {
		p := &c.ports[i]
		p.control = portAlways
		if p.Present() {
			p.Reset()
		}
	}
	c.dropAll()
	c.posted = false
	c.updateIRQ()
}

func (c *Controller) updateIRQ() {
	c.SetINTx(c.status2&causeComplete != 0 && c.enable&enableComplete != 0 ||
		c.status2&causeShort != 0 && c.enable&enableShort != 0 ||
		c.status&stsError != 0 && c.enable&enableTimeout != 0 ||
		c.status&stsResume != 0 && c.enable&enableResume != 0 ||
		c.status&(stsHostError|stsProcessErr) != 0)
}

// registers answers accesses to the registers.
type registers Controller

// Read implements memory.Ops.
func (o *registers) Read(off uint64, _ int) uint64 {
	c := (*Controller)(o)
	switch off {
	case regCommand:
		return uint64(c.command)
	case regStatus:
		return uint64(c.status)
	case regEnable:
		return uint64(c.enable)
	case regFrame:
		return uint64(c.frame)
	case regBase:
		return uint64(c.base & 0xffff)
	case regBaseHigh:
		return uint64(c.base >> 16)
	case regSOF:
		return uint64(c.sof)
	}
	if n := off >> 1 & 7; off >= regPorts && n < ports {
		return uint64(c.ports[n].control)
	}
	return noPort
}

// Write implements memory.Ops.
func (o *registers) Write(off uint64, _ int, value uint64) {
	c, v := (*Controller)(o), uint16(value)
	switch off {
	case regCommand:
		c.setCommand(v)
	case regStatus:
		c.status &^= v
		if v&stsInterrupt != 0 {
			c.status2 = 0
		}
		c.updateIRQ()
	case regEnable:
		c.enable = v
		c.updateIRQ()
	case regFrame:
		if c.status&stsHalted != 0 {
			c.frame = v & frameMask
		}
	case regBase:
		c.base = c.base&0xffff0000 | uint32(v&0xf000)
	case regBaseHigh:
		c.base = c.base&0xffff | uint32(v)<<16
	case regSOF:
		c.sof = uint8(v)
	default:
		if n := off >> 1 & 7; off >= regPorts && n < ports {
			c.setPort(&c.ports[n], v)
		}
	}
}

func (c *Controller) setCommand(v uint16) {
	switch {
	case v&cmdRun != 0 && c.command&cmdRun == 0:
		c.expire = clock.Virtual.Now() + frameNanoseconds
		c.timer.Mod(c.expire)
		c.status &^= stsHalted
	case v&cmdRun == 0:
		c.status |= stsHalted
	}
	if v&cmdGlobalReset != 0 {
		for i := range c.ports {
			if d := c.ports[i].Port.Device(); d != nil {
				d.PortReset()
			}
		}
	}
	if v&(cmdGlobalReset|cmdReset) != 0 {
		c.Reset()
		return
	}
	c.command = v
	if v&cmdSuspend != 0 && (c.ports[0].control|c.ports[1].control)&portResumeDetected != 0 {
		c.resume()
	}
}

func (c *Controller) setPort(p *port, v uint16) {
	if p.Present() && v&portReset != 0 && p.control&portReset == 0 {
		p.Port.Device().PortReset()
	}
	p.control &= portReadOnly
	if p.control&portConnected == 0 {
		v &^= portEnabled
	}
	p.control |= v &^ portReadOnly
	p.control &^= v & portWriteClear
}

// resume wakes a controller that has suspended the bus.
func (c *Controller) resume() {
	if c.command&cmdSuspend != 0 {
		c.command |= cmdResume
		c.status |= stsResume
		c.updateIRQ()
	}
}

func (c *Controller) attached(p *port) {
	p.control |= portConnected | portConnectChanged
	p.control &^= portLowSpeed
	if p.Port.Device().Speed() == usb.Low {
		p.control |= portLowSpeed
	}
	c.resume()
}

func (c *Controller) detached(p *port) {
	c.dropDevice(p.Port.Device())
	if p.control&portConnected != 0 {
		p.control = p.control&^portConnected | portConnectChanged
	}
	if p.control&portEnabled != 0 {
		p.control = p.control&^portEnabled | portEnableChanged
	}
	c.resume()
}

func (c *Controller) wakeup(p *port) {
	if p.control&portSuspended != 0 && p.control&portResumeDetected == 0 {
		p.control |= portResumeDetected
		c.resume()
	}
}

// find returns the device with an address, nil if there is none behind an enabled port.
func (c *Controller) find(addr uint8) *usb.Device {
	for i := range c.ports {
		if p := &c.ports[i]; p.control&portEnabled != 0 {
			if d := p.Find(addr); d != nil {
				return d
			}
		}
	}
	return nil
}

var portState = vmstate.Description[port]{Name: "uhci port", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[port]{vmstate.Of("ctrl", func(p *port) *uint16 { return &p.control })}}

var state = vmstate.Description[Controller]{Name: "uhci", Version: 3, MinVersion: 1,
	Fields: []vmstate.Field[Controller]{
		vmstate.Struct("dev", &pci.State, func(c *Controller) *pci.Device { return &c.Device }),
		vmstate.Of("num_ports_vmstate", func(c *Controller) *uint8 { return &c.numPorts }),
		vmstate.Structs("ports", &portState, func(c *Controller) []port { return c.ports[:] }).Since(1),
		vmstate.Of("cmd", func(c *Controller) *uint16 { return &c.command }),
		vmstate.Of("status", func(c *Controller) *uint16 { return &c.status }),
		vmstate.Of("intr", func(c *Controller) *uint16 { return &c.enable }),
		vmstate.Of("frnum", func(c *Controller) *uint16 { return &c.frame }),
		vmstate.Of("fl_base_addr", func(c *Controller) *uint32 { return &c.base }),
		vmstate.Of("sof_timing", func(c *Controller) *uint8 { return &c.sof }),
		vmstate.Of("status2", func(c *Controller) *uint8 { return &c.status2 }),
		vmstate.Timer("frame_timer", func(c *Controller) vmstate.TimerState { return c.timer }),
		vmstate.Of("expire_time", func(c *Controller) *int64 { return &c.expire }).Since(2),
		vmstate.Of("pending_int_mask", func(c *Controller) *uint32 { return &c.pending }).Since(3),
	},
	PostLoad: func(c *Controller, version int) error {
		if c.numPorts != ports {
			c.numPorts = ports
			return errPorts
		}
		if version < 2 {
			c.expire = clock.Virtual.Now() + frameNanoseconds
		}
		return nil
	}}
