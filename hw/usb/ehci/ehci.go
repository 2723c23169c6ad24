// Package ehci is the Enhanced Host Controller Interface (specification 1.0): high speed on six ports, which companion controllers can take
// over for slower devices.
package ehci

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

var le = binary.LittleEndian

// variant is what tells the types apart.
type variant struct {
	name       string
	device     uint16
	revision   uint8
	companions bool
}

var variants = []variant{{"usb-ehci", 0x24cd, 0x10, false}, {"ich9-usb-ehci1", 0x293a, 3, true}, {"ich9-usb-ehci2", 0x293c, 3, true}}

// port is a port of the root hub.
type port struct {
	usb.Port
	companion *usb.Port
}

// Controller is a controller of any of the types.
type Controller struct {
	pci.Device
	MaxFrames uint32 `prop:"maxframes,default=128"`

	variant *variant
	bus     usb.Bus
	ports   [ports]port
	caps    [capsBytes]byte
	regs

	timer      *clock.Timer
	posted     bool
	working    bool
	activity   uint32 // microframes for which the periodic schedule is taken for busy
	intByAsync bool
	mastering  bool // reaches for memory: its own registers do not answer then
	companions int
	unused     [9]uint32   // registers that only keep what is written
	queues     [2][]*queue // of the periodic and the asynchronous schedule
}

// schedule is one of the two schedules.
type schedule int

const (
	periodic schedule = iota
	async
)

// States of a schedule, numbered as in migration streams.
const (
	stateInactive = 1000
	stateActive   = 1001
)

// regs is the state that migrates.
type regs struct {
	command, status, pending, pendingFrame, enable, frame uint32
	segment, periodicBase, asyncBase, configured          uint32
	portStatus                                            [ports]uint32
	lastRun                                               uint64
	stepdown                                              uint32
	states, fetch                                         [2]uint32
}

// Classes are the device types of this package.
func Classes() (list []*qdev.Class) {
	for i := range variants {
		v := &variants[i]
		list = append(list, &qdev.Class{Name: v.name, Bus: pci.BusType, Category: qdev.USB, Parents: []string{"pci-ehci-usb", "pci-device", "device"},
			NoHotplug: v.companions, New: func() qdev.Device { return &Controller{variant: v} }, State: qdev.State(&state)})
	}
	return list
}

// PCIInfo implements pci.Function.
func (c *Controller) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: c.variant.device, Revision: c.variant.revision, Class: pci.ClassSerialUSB, ProgIf: progIfEHCI}
}

// Realize implements qdev.Device.
func (c *Controller) Realize() error {
	if c.MaxFrames < 8 || c.MaxFrames > 512 {
		return fmt.Errorf("maxframes %d out if range (8 .. 512)", int32(c.MaxFrames))
	}
	const interruptD = 4
	c.SetInterruptPin(interruptD)
	c.Config[cfgRelease], c.Config[cfgFrameLength], c.Config[cfgLegacy], c.Config[cfgLegacyCtl] = release20, 0x20, 1, 0xc0
	// Length, version 1.0, ports, isochronous caching of a whole frame, place of the legacy register.
	c.caps = [capsBytes]byte{0: operational, 3: 1, 4: ports, 8: 0x80, 9: cfgLegacy}
	usb.InitBus(&c.bus, c)
	c.bus.WakeupEndpoint = c.wakeupEndpoint
	if c.variant.companions {
		c.bus.AddCompanion = c.addCompanion
	}
	for i := range c.ports {
		p := &c.ports[i]
		p.Index, p.Speeds = i, usb.Speeds(usb.High)
		p.Attach, p.Detach, p.Wakeup = func() { c.attached(i) }, func() { c.detached(i) }, func() { c.wakeup(i) }
		p.ChildDetach = func(d *usb.Device) { c.childDetached(i, d) }
		c.bus.AddPort(&p.Port)
	}
	c.states = [2]uint32{stateInactive, stateInactive}
	c.timer = mainloop.NewTimer(clock.Virtual, c.work)
	c.SetBAR(0, pci.BARMem32, c.region())
	return nil
}

// region is the memory of the registers.
func (c *Controller) region() *memory.Region {
	r := memory.NewContainer("ehci", mmioBytes)
	words := memory.Access{Min: 4, Max: 4}
	caps := memory.NewIO("capabilities", capsBytes, (*capRegs)(c))
	caps.Valid, caps.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 1}
	op := memory.NewIO("operational", portsAt, (*opRegs)(c))
	op.Valid = words
	list := memory.NewIO("ports", 4*ports, (*portRegs)(c))
	list.Valid = words
	r.Add(caps, 0, 0)
	r.Add(op, operational, 0)
	r.Add(list, operational+portsAt, 0)
	return r
}

// Unrealize implements qdev.Device.
func (c *Controller) Unrealize() {
	c.timer.Del()
	c.posted = false
	c.dropAll(periodic)
	c.dropAll(async)
}

// addCompanion is usb.Bus.AddCompanion.
func (c *Controller) addCompanion(list []*usb.Port, first int) error {
	if first < 0 || first+len(list) > ports {
		return fmt.Errorf("firstport must be between 0 and %d", ports-len(list))
	}
	for i := range list {
		if c.ports[first+i].companion != nil {
			return fmt.Errorf("firstport %d asks for ports %d-%d, but port %d has a companion assigned already", first, first, first+len(list)-1, first+i)
		}
	}
	for i, p := range list {
		mine := &c.ports[first+i]
		mine.companion = p
		mine.Speeds |= p.Speeds
		c.portStatus[first+i] = portOwner
	}
	c.companions++
	c.caps[5] = uint8(c.companions<<4 | len(list))
	return nil
}

// Reset implements qdev.Device.
func (c *Controller) Reset() {
	for i := range c.ports {
		if p := &c.ports[i]; p.Present() {
			p.Pull() // reaches the owner of before the reset
		}
	}
	last := c.lastRun
	c.unused = [9]uint32{}
	c.regs = regs{command: defaultInterval << cmdThresholdAt, status: stsHalted, lastRun: last, states: [2]uint32{stateInactive, stateInactive}}
	c.updateIRQ()
	for i := range c.ports {
		p := &c.ports[i]
		c.portStatus[i] = portPower
		if p.companion != nil {
			c.portStatus[i] |= portOwner
		}
		if p.Present() {
			p.Plug()
			p.Device().PortReset()
		}
	}
	c.dropAll(periodic)
	c.dropAll(async)
	c.timer.Del()
	c.posted = false
}

// schedule makes the schedules be looked at soon.
func (c *Controller) schedule() {
	if c.posted {
		return
	}
	c.posted = true
	mainloop.Post(func() {
		if c.posted {
			c.work()
		}
	})
}

func (c *Controller) updateIRQ() { c.SetINTx(c.status&stsCauses&c.enable != 0) }

// raise notes causes for an interrupt: some act at once, others at the rate that the driver has set.
func (c *Controller) raise(causes uint32) {
	if causes&(stsPort|stsRollover|stsHostError) != 0 {
		c.status |= causes
		c.updateIRQ()
		return
	}
	c.pending |= causes
}

// commit makes noted causes take effect if it is time.
func (c *Controller) commit() {
	if c.pending == 0 || c.pendingFrame > c.frame {
		return
	}
	c.status |= c.pending
	c.pending = 0
	c.pendingFrame = c.frame + c.command>>cmdThresholdAt&0xff
	c.updateIRQ()
}

func (c *Controller) running() bool { return c.command&cmdRun != 0 }

func (c *Controller) enabled(s schedule) bool {
	bit := uint32(cmdPeriodic)
	if s == async {
		bit = cmdAsync
	}
	return c.running() && c.command&bit != 0
}

// setState changes a schedule's state and what the status register tells of it.
func (c *Controller) setState(s schedule, v uint32) {
	c.states[s] = v
	bit := uint32(stsPeriodic)
	if s == async {
		bit = stsAsync
	}
	if v == stateInactive {
		c.status &^= bit
		c.updateHalt()
	} else {
		c.status |= bit
	}
}

func (c *Controller) updateHalt() {
	if c.running() {
		c.status &^= stsHalted
	} else if c.states == [2]uint32{stateInactive, stateInactive} {
		c.status |= stsHalted
	}
}

// companion returns the companion's port if it owns port i.
func (c *Controller) companion(i int) *usb.Port {
	if c.portStatus[i]&portOwner == 0 {
		return nil
	}
	return c.ports[i].companion
}

func (c *Controller) attached(i int) {
	if o := c.companion(i); o != nil {
		o.SetDevice(c.ports[i].Device())
		o.Attach()
		return
	}
	c.portStatus[i] |= portConnected | portConnectChanged
	c.raise(stsPort)
}

func (c *Controller) detached(i int) {
	d := c.ports[i].Device()
	if o := c.companion(i); o != nil {
		o.Detach()
		o.SetDevice(nil)
		c.portStatus[i] &^= portOwner // section 4.2.2
		return
	}
	c.dropDevice(d)
	c.portStatus[i] = c.portStatus[i]&^(portConnected|portEnabled|portSuspended) | portConnectChanged
	c.raise(stsPort)
}

func (c *Controller) childDetached(i int, d *usb.Device) {
	if o := c.companion(i); o != nil {
		o.ChildDetach(d)
		return
	}
	c.dropDevice(d)
}

func (c *Controller) wakeup(i int) {
	if o := c.companion(i); o != nil {
		if o.Wakeup != nil {
			o.Wakeup()
		}
		return
	}
	if c.portStatus[i]&portSuspended != 0 {
		c.portStatus[i] |= portResume
		c.raise(stsPort)
	}
	c.schedule()
}

func (c *Controller) wakeupEndpoint(e *usb.Endpoint, _ uint16) {
	if p := e.Device().RootPort(); p < ports && c.companion(p) != nil {
		return
	}
	c.activity = periodicActivity
	c.schedule()
}

// find returns the device with an address, nil if there is none behind an enabled port.
func (c *Controller) find(addr uint8) *usb.Device {
	for i := range c.ports {
		if c.portStatus[i]&portEnabled != 0 {
			if d := c.ports[i].Find(addr); d != nil {
				return d
			}
		}
	}
	return nil
}
