package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/pci"
	"goemu/hw/qdev"
)

// Registers of a slot in the PCI Express capability (section 7.8.9 to 7.8.11).
const (
	slotCap     = 20
	slotCtl     = 24
	slotSta     = 26
	expLinkCap2 = 44
	expLinkCtl2 = 48

	expHasSlot = 1 << 8

	capButton, capPower, capAttention, capIndicator = 1 << 0, 1 << 1, 1 << 3, 1 << 4
	capSurprise, capHotplug, capInterlock           = 1 << 5, 1 << 6, 1 << 17
	capNumber                                       = 19 // shift

	evButton, evPresence, evCommand = 1 << 0, 1 << 3, 1 << 4 // of status and control alike
	evAll                           = evButton | evPresence | evCommand
	evStatus                        = evAll | 1<<1 | 1<<2

	ctlInterrupt                          = 1 << 5
	ctlAttention, ctlAttentionOff         = 3 << 6, 3 << 6
	ctlIndicator, ctlIndicatorOn          = 3 << 8, 1 << 8
	ctlIndicatorBlinks, ctlIndicatorOff   = 2 << 8, 3 << 8
	ctlPowerOff                           = 1 << 10
	ctlInterlock                          = 1 << 11
	staPresent, staInterlock              = 1 << 6, 1 << 7
	linkWidths, linkSpeeds                = 0x3f0, 0xf
	linkReportsActive, linkReportsWidth   = 1 << 20, 1 << 21
	linkActive                            = 1 << 13
	patience                              = 5000 // milliseconds in which a guest may answer
	speed25, speed5, speed8, speed16, x1w = 1, 2, 3, 4, 1
	supported25, supported5, supported8   = 1 << 1, 1 << 2, 1 << 3
	supported16                           = 1 << 4
)

// slotProps are the options of ports with a slot.
type slotProps struct {
	Chassis uint8  `prop:"chassis,default=0"`
	Slot    uint16 `prop:"slot,default=0"`
	Hotplug bool   `prop:"hotplug,default=true"`
	Native  bool   `prop:"x-native-hotplug,default=true"`
	Power   bool   `prop:"power_controller_present,default=true" help:"on/off"`
}

// slotPort is a port with a slot behind it: its bus has one device. Software learns of devices by the slot's registers.
type slotPort struct {
	port
	slotProps
	speed, width uint8
	notified     bool // the interrupt has been asked for
}

// slotted is a port with a slot.
type slotted interface{ asSlot() *slotPort }

func (s *slotPort) asSlot() *slotPort { return s }

// Hotpluggable tells whether the user wants devices to come and go.
func (s *slotPort) Hotpluggable() bool { return s.Hotplug }

// reg is the place of a register.
func (s *slotPort) reg(n int) int { return s.ExpressCapability() + n }

func (s *slotPort) set(n int, clear, set uint16) { s.Set16(s.reg(n), s.Get16(s.reg(n))&^clear|set) }

// link describes the link as the options want it.
func (s *slotPort) link() {
	at := s.reg(pci.ExpLinkCap)
	v := s.Get32(at)&^(linkWidths|linkSpeeds) | uint32(s.width)<<4 | uint32(s.speed)
	if s.width > x1w || s.speed > speed25 {
		v |= linkReportsWidth
	}
	if s.speed > speed25 {
		v |= linkReportsActive
		s.set(expLinkCtl2, 0xf, uint16(s.speed))
	}
	s.Set32(at, v)
	if s.speed > speed5 {
		speeds := uint32(supported25 | supported5 | supported8)
		if s.speed > speed8 {
			speeds |= supported16
		}
		s.Set32(s.reg(expLinkCap2), speeds)
	}
}

// initSlot adds the slot's registers.
func (s *slotPort) initSlot() {
	s.set(pci.ExpFlags, 0, expHasSlot)
	v := uint32(s.Slot)<<capNumber | capInterlock | capIndicator | capAttention | capButton
	if s.Hotplug && (s.Native || s.Hotplugged()) {
		v |= capSurprise | capHotplug
	}
	writable := uint16(ctlIndicator | ctlAttention | ctlInterrupt | evAll | ctlInterlock)
	if s.Power {
		v |= capPower
		writable |= ctlPowerOff
	}
	s.Set32(s.reg(slotCap), v)
	s.set(slotCtl, 0, ctlIndicatorOff|ctlAttentionOff)
	s.SetWritable16(s.reg(slotCtl), writable)
	binary.LittleEndian.PutUint16(s.ClearOnes[s.reg(slotSta):], evAll)
	s.SetWritable16(s.reg(slotSta), 0)
	s.Secondary().SetHandler(s)
}

// claim refuses a slot whose number another port of the chassis has.
func (s *slotPort) claim() error {
	for _, d := range s.Tree().Devices() {
		if o, ok := d.(slotted); ok && o.asSlot().Chassis == s.Chassis && o.asSlot().Slot == s.Slot {
			return errors.New("Can't add chassis slot, error -16")
		}
	}
	return nil
}

// resetSlot puts the slot's registers into their power-on state.
func (s *slotPort) resetSlot() {
	s.set(slotCtl, ctlInterlock|ctlIndicator|ctlAttention|ctlInterrupt|evAll, ctlAttentionOff)
	if s.Power {
		if s.Secondary().Function(0) != nil {
			s.set(slotCtl, ctlPowerOff, ctlIndicatorOn)
		} else {
			s.set(slotCtl, 0, ctlPowerOff|ctlIndicatorOff)
		}
	}
	s.set(slotSta, staInterlock|evAll, 0)
	s.updatePower()
	s.updateNotified()
}

// updatePower gives the devices in the slot power or takes it away.
func (s *slotPort) updatePower() {
	on := !s.Power || s.Get16(s.reg(slotCtl))&ctlPowerOff == 0
	for _, d := range s.Secondary().Devices() {
		d.(pci.Function).PCI().SetPower(on)
	}
}

// PowerOn gives the slot power, as ACPI's hot-plugging does.
func (s *slotPort) PowerOn() {
	if s.Power {
		s.set(slotCtl, ctlPowerOff, 0)
	}
}

func (s *slotPort) updateNotified() {
	ctl := s.Get16(s.reg(slotCtl))
	s.notified = ctl&ctlInterrupt != 0 && ctl&s.Get16(s.reg(slotSta))&evAll != 0
}

// notify drives the interrupt if there is something new.
func (s *slotPort) notify() {
	was := s.notified
	if s.updateNotified(); was == s.notified {
		return
	}
	vector := int(s.Get16(s.reg(pci.ExpFlags)) >> 9 & 0x1f)
	switch {
	case s.MSIXEnabled():
		s.NotifyMSIX(vector)
	case s.MSIEnabled():
		s.NotifyMSI(vector)
	default:
		s.SetINTx(s.notified)
	}
}

// event notes that something has happened.
func (s *slotPort) event(events uint16) {
	if s.Get16(s.reg(slotSta))&events != events {
		s.set(slotSta, 0, events)
		s.notify()
	}
}

// setPresent shows whether there is a device.
func (s *slotPort) setPresent(on bool) {
	link := uint16(0)
	if s.LinkActive || s.Get32(s.reg(pci.ExpLinkCap))&linkReportsActive != 0 {
		link = linkActive
	}
	if on {
		s.set(slotSta, 0, staPresent)
		s.set(pci.ExpLinkState, 0, link)
	} else {
		s.set(slotSta, staPresent, 0)
		s.set(pci.ExpLinkState, link, 0)
	}
}

func (s *slotPort) locked() error {
	if s.Get16(s.reg(slotSta))&staInterlock != 0 {
		return errors.New("slot is electromechanically locked: Device or resource busy")
	}
	return nil
}

func (s *slotPort) takesHot() bool { return s.Get16(s.reg(slotCap))&capHotplug != 0 }

// PrePlug implements qdev.HotplugHandler.
func (s *slotPort) PrePlug(d qdev.Device) error {
	if d.Dev().Hotplugged() && !s.takesHot() {
		return fmt.Errorf("Hot-plug failed: unsupported by the port device '%s'", s.ID())
	}
	return s.locked()
}

// Plugged implements qdev.HotplugHandler.
func (s *slotPort) Plugged(d qdev.Device) error {
	switch {
	case !d.Dev().Hotplugged():
		s.setPresent(true)
	case s.Secondary().Function(0) == nil: // the guest hears of it when the slot's first function comes
		return nil
	default:
		s.setPresent(true)
		s.event(evPresence | evButton)
	}
	s.updatePower()
	return nil
}

// RequestUnplug implements qdev.HotplugHandler.
func (s *slotPort) RequestUnplug(d qdev.Device) error {
	if !s.takesHot() {
		return fmt.Errorf("Hot-unplug failed: unsupported by the port device '%s'", s.ID())
	}
	if err := s.locked(); err != nil {
		return err
	}
	ctl := s.Get16(s.reg(slotCtl))
	if ctl&ctlIndicator == ctlIndicatorBlinks {
		return errors.New("Hot-unplug failed: guest is busy (power indicator blinking)")
	}
	d.Dev().SetLeavingFor(patience)
	switch {
	case d.(pci.Function).PCI().DevFn() != 0 && s.Secondary().Function(0) == nil: // never shown to the guest
		d.Dev().Tree().Unplugged(d)
	case ctl&ctlIndicator == ctlIndicatorOff && ctl&ctlPowerOff != 0:
		s.empty()
		s.notify()
		s.set(slotSta, evButton, 0)
	default:
		s.event(evButton)
	}
	return nil
}

// empty takes the devices out.
func (s *slotPort) empty() {
	for _, d := range slices.Clone(s.Secondary().Devices()) {
		d.Dev().Tree().Unplugged(d)
	}
	s.setPresent(false)
	s.set(slotSta, 0, evPresence)
}

// WriteConfig implements pci.ConfigWriter.
func (s *slotPort) WriteConfig(addr, size int, v uint32) {
	ctl, sta := s.Get16(s.reg(slotCtl)), s.Get16(s.reg(slotSta))
	s.Bridge.WriteConfig(addr, size, v)
	touches := func(n int) bool { return addr < s.reg(n)+2 && addr+size > s.reg(n) }
	// part is what has been written to a register.
	part := func(n int) uint16 {
		if shift := 8 * (s.reg(n) - addr); shift >= 0 {
			return uint16(v >> shift)
		}
		return uint16(v << 8)
	}
	if touches(slotSta) {
		if part(slotSta)&^sta&evStatus != 0 { // guests clear everything when they start, and would lose what comes just then
			s.set(slotSta, evStatus, sta&evStatus)
		}
		if s.updateNotified(); !s.notified && !s.MSIXEnabled() && !s.MSIEnabled() {
			s.SetINTx(false)
		}
	}
	if !touches(slotCtl) {
		return
	}
	now := s.Get16(s.reg(slotSta))
	if s.Get16(s.reg(slotCtl))&ctlInterlock != 0 {
		now ^= staInterlock
		s.set(slotCtl, ctlInterlock, 0)
		s.Set16(s.reg(slotSta), now)
	}
	off := func(c uint16) bool { return c&ctlPowerOff != 0 && c&ctlIndicator == ctlIndicatorOff }
	if now&staPresent != 0 && off(part(slotCtl)) && !off(ctl) {
		s.empty()
	}
	s.updatePower()
	s.notify()
	s.event(evCommand)
}

// ReadConfig implements pci.ConfigReader: the link's state is that of the device behind it, as far as the port goes along.
func (s *slotPort) ReadConfig(addr, size int) uint32 {
	if at := s.reg(pci.ExpLinkState); addr < at+2 && addr+size > at {
		s.updateLink()
	}
	return s.DefaultReadConfig(addr, size)
}

// updateLink negotiates speed and width of the link.
func (s *slotPort) updateLink() {
	most := s.Get16(s.reg(pci.ExpLinkCap))
	state := most
	if f := s.Secondary().Function(0); f != nil && f.PCI().ExpressCapability() != 0 {
		d := f.PCI()
		state = d.Get16(d.ExpressCapability() + pci.ExpLinkState)
		for _, part := range []uint16{linkWidths, linkSpeeds} {
			if state&part > most&part {
				state = state&^part | most&part
			}
		}
	}
	if state&linkWidths == 0 {
		state |= x1w << 4
	}
	if state&linkSpeeds == 0 {
		state |= speed25
	}
	s.set(pci.ExpLinkState, linkWidths|linkSpeeds, state&(linkWidths|linkSpeeds))
}

// loaded takes over what a migration has brought.
func (s *slotPort) loaded() {
	s.updateNotified()
	s.updatePower()
}

// downstream is a port of a switch away from the root complex.
type downstream struct{ slotPort }

// Realize implements qdev.Device.
func (d *downstream) Realize() error {
	return d.realize(func() error {
		d.link()
		d.initSlot()
		d.forwardARI()
		return d.claim()
	})
}

// Reset implements qdev.Device.
func (d *downstream) Reset() {
	d.resetErrors()
	d.resetSlot()
	d.resetARI()
	d.ResetBridge()
}

// resetARI stops the forwarding of alternative routing identifiers.
func (s *slotPort) resetARI() { s.set(pci.ExpDevCtl2, expForwardARI, 0) }
