package bridge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers of the standard hot-plug controller (PCI Standard Hot-Plug Controller and Subsystem Specification 1.0, section 4).
const (
	shpcSlots33, shpcSlotCount, shpcFirst, shpcPhysical = 0x04, 0x0c, 0x0d, 0x0e
	shpcSpeed, shpcInterface                            = 0x10, 0x13
	shpcCommand, shpcTarget, shpcStatus                 = 0x14, 0x15, 0x16
	shpcLocator, shpcControl                            = 0x18, 0x20
	shpcSlot, shpcLatch, shpcMask                       = 0x24, 0x26, 0x27 // of the first slot; 4 further on for each of the others

	shpcCount   = 31
	shpcSize    = shpcSlot + 4*shpcCount
	shpcBAR     = 256
	shpcCapSize = 8

	physicalFirst, physicalUp, physicalMRL, physicalButton = 1, 0x2000, 0x4000, 0x8000

	stBusy, stMRLOpen, stBadCommand, stBadMode = 1, 2, 4, 8
	stAll                                      = 15

	ctlNoInterrupt, ctlNoSERR, ctlNoCommandInterrupt, ctlNoArbiterSERR = 1, 2, 4, 8
	ctlMasks                                                           = 15
	ctlCommandDone, ctlArbiterSeen                                     = 1 << 16, 1 << 17

	slotState, slotPowerLED, slotAttentionLED = 0x03, 0x0c, 0x30
	slotMRLOpen, slot66, slotPresence         = 0x100, 0x200, 0xc00

	stateNone, statePowered, stateEnabled, stateDisabled = 0, 1, 2, 3
	ledNone, ledOn, ledOff                               = 0, 1, 3
	presenceEmpty, presenceHere                          = 3, 0

	latchPresence, latchButton, latchMRL = 0x01, 0x04, 0x08
	latchAll, latchMaskAll               = 0x1f, 0x7f
)

// shpc is a standard hot-plug controller: it looks after the slots 1 to 31 of the bus behind the bridge.
type shpc struct {
	b         *pci.Bridge
	regs      [shpcSize]byte
	writable  [shpcSize]byte
	clearOnes [shpcSize]byte
	at        int // capability, 0 if there is no controller
	asked     bool
	bar       *memory.Region
}

// init adds the controller to a bridge.
func (c *shpc) init(b *pci.Bridge) error {
	at, err := b.AddCapability(pci.CapSHPC, 0, shpcCapSize)
	if err != nil {
		return err
	}
	c.b, c.at = b, at
	b.Writable[at+2] = 0xff
	b.SetWritable32(at+4, 0xffffffff)
	c.writable[shpcCommand], c.writable[shpcTarget] = 0xff, 0x1f
	binary.LittleEndian.PutUint32(c.writable[shpcControl:], ctlMasks)
	binary.LittleEndian.PutUint32(c.clearOnes[shpcControl:], ctlCommandDone|ctlArbiterSeen)
	for i := range shpcCount {
		c.writable[shpcMask+4*i], c.clearOnes[shpcLatch+4*i] = latchMaskAll, latchAll
	}
	c.reset()
	c.bar = memory.NewContainer("shpc-bar", shpcBAR)
	io := memory.NewIO("shpc-mmio", shpcSize, (*shpcOps)(c))
	io.Valid = memory.Access{Min: 1, Max: 4}
	c.bar.Add(io, 0, 0)
	c.showWord()
	b.Secondary().SetHandler(c)
	return nil
}

func (c *shpc) get32(at int) uint32    { return binary.LittleEndian.Uint32(c.regs[at:]) }
func (c *shpc) set32(at int, v uint32) { binary.LittleEndian.PutUint32(c.regs[at:], v) }
func (c *shpc) set16(at int, v uint16) { binary.LittleEndian.PutUint16(c.regs[at:], v) }
func (c *shpc) get16(at int) uint16    { return binary.LittleEndian.Uint16(c.regs[at:]) }

// field reads bits of a slot's status, setField writes them.
func (c *shpc) field(slot int, mask uint16) uint16 {
	return c.get16(shpcSlot+4*slot) & mask / (mask & -mask)
}

func (c *shpc) setField(slot int, mask, v uint16) {
	at := shpcSlot + 4*slot
	c.set16(at, c.get16(at)&^mask|v*(mask&-mask)&mask)
}

// reset puts the registers into their power-on state.
func (c *shpc) reset() {
	clear(c.regs[:])
	c.regs[shpcSlotCount], c.regs[shpcFirst], c.regs[shpcInterface] = shpcCount, physicalFirst, 1
	c.set32(shpcSlots33, shpcCount)
	c.set16(shpcPhysical, physicalFirst|physicalUp|physicalMRL|physicalButton)
	c.set32(shpcControl, ctlMasks)
	for i := range shpcCount {
		c.regs[shpcMask+4*i] = latchMaskAll
		here := c.b.Secondary().Function(uint8(i+1)<<3) != nil
		c.setPresent(i, here)
		if here {
			c.setField(i, slotState, stateEnabled)
			c.setField(i, slotPowerLED, ledOn)
		} else {
			c.setField(i, slotState, stateDisabled)
			c.setField(i, slotPowerLED, ledOff)
		}
	}
	c.asked = false
	c.update()
}

// setPresent shows whether there is a device in a slot.
func (c *shpc) setPresent(slot int, on bool) {
	if on {
		c.setField(slot, slotMRLOpen, 0)
		c.setField(slot, slotPresence, presenceHere)
	} else {
		c.setField(slot, slotMRLOpen, 1)
		c.setField(slot, slotPresence, presenceEmpty)
	}
}

// update drives the interrupt.
func (c *shpc) update() {
	locator := uint32(0)
	for i := range shpcCount {
		if c.regs[shpcLatch+4*i]&^c.regs[shpcMask+4*i] != 0 {
			locator |= 2 << i
		}
	}
	ctl := c.get32(shpcControl)
	if ctl&ctlCommandDone != 0 && ctl&ctlNoCommandInterrupt == 0 {
		locator |= 1
	}
	c.set32(shpcLocator, locator)
	level := ctl&ctlNoInterrupt == 0 && locator != 0
	if c.b.MSIEnabled() && level != c.asked {
		c.b.NotifyMSI(0)
	} else {
		c.b.SetINTx(level)
	}
	c.asked = level
}

func (c *shpc) invalid() { c.set16(shpcStatus, c.get16(shpcStatus)|stBadCommand) }

// empty takes the devices out of a slot.
func (c *shpc) empty(slot int) {
	bus := c.b.Secondary()
	for _, d := range slices.Clone(bus.Devices()) {
		if int(d.(pci.Function).PCI().DevFn()>>3) == slot+1 {
			d.Dev().Tree().Unplugged(d)
		}
	}
	c.setPresent(slot, false)
	c.regs[shpcLatch+4*slot] |= latchMRL | latchPresence
}

// change is the command that changes a slot's state and lights; zero leaves them.
func (c *shpc) change(target int, state, power, attention uint16) {
	slot := target - 1
	if slot < 0 || slot >= shpcCount {
		c.invalid()
		return
	}
	now := c.field(slot, slotState)
	if now == stateEnabled && state == statePowered {
		c.invalid()
		return
	}
	if power != ledNone {
		c.setField(slot, slotPowerLED, power)
	}
	if attention != ledNone {
		c.setField(slot, slotAttentionLED, attention)
	}
	switch {
	case now == stateDisabled && (state == statePowered || state == stateEnabled):
		c.setField(slot, slotState, state)
	case now != stateDisabled && state == stateDisabled:
		c.setField(slot, slotState, state)
		if c.field(slot, slotPowerLED) == ledOff {
			c.empty(slot)
		}
	}
}

// changeAll is the command that powers or enables all slots.
func (c *shpc) changeAll(state uint16) {
	for i := range shpcCount {
		if c.field(i, slotState) == stateEnabled {
			c.invalid()
			return
		}
	}
	for i := range shpcCount {
		if c.field(i, slotMRLOpen) == 0 {
			c.change(i+1, state, ledOn, ledNone)
		} else {
			c.change(i+1, stateNone, ledOff, ledNone)
		}
	}
}

// Command codes besides those of a single slot.
const (
	codeSlotLast   = 0x3f
	codeSpeedFirst = 0x40
	codeSpeedLast  = 0x47
	codePowerAll   = 0x48
	codeEnableAll  = 0x49
)

// command carries out what has been written.
func (c *shpc) command() {
	c.set16(shpcStatus, c.get16(shpcStatus)&^stAll)
	switch code := uint16(c.regs[shpcCommand]); {
	case code <= codeSlotLast:
		c.change(int(c.regs[shpcTarget]&0x1f), code&slotState, code&slotPowerLED>>2, code&slotAttentionLED>>4)
	case code <= codeSpeedLast:
		if code != codeSpeedFirst { // 33 MHz is all there is
			c.set16(shpcStatus, c.get16(shpcStatus)|stBadMode)
		}
	case code == codePowerAll:
		c.changeAll(statePowered)
	case code == codeEnableAll:
		c.changeAll(stateEnabled)
	default:
		c.invalid()
	}
	c.set32(shpcControl, c.get32(shpcControl)|ctlCommandDone)
}

// shpcOps answers the registers.
type shpcOps shpc

// Read implements memory.Ops.
func (o *shpcOps) Read(off uint64, size int) (v uint64) {
	for i := size - 1; i >= 0; i-- {
		v <<= 8
		if at := off + uint64(i); at < shpcSize {
			v |= uint64(o.regs[at])
		}
	}
	return v
}

// Write implements memory.Ops.
func (o *shpcOps) Write(off uint64, size int, v uint64) {
	c := (*shpc)(o)
	for i := range uint64(size) {
		if at := off + i; at < shpcSize {
			b := uint8(v >> (8 * i))
			c.regs[at] = (c.regs[at]&^c.writable[at] | b&c.writable[at]) &^ (b & c.clearOnes[at])
		}
	}
	if off < shpcCommand+2 && off+uint64(size) > shpcCommand {
		c.command()
	}
	c.update()
}

// showWord shows the register that the capability selects.
func (c *shpc) showWord() {
	c.b.Set32(c.at+4, uint32((*shpcOps)(c).Read(uint64(c.b.Config[c.at+2])*4, 4)))
}

// configWritten acts on a write to the capability, through which the registers can be reached, too.
func (c *shpc) configWritten(addr, size int) {
	if c.at == 0 || addr >= c.at+shpcCapSize || addr+size <= c.at {
		return
	}
	if addr < c.at+8 && addr+size > c.at+4 {
		(*shpcOps)(c).Write(uint64(c.b.Config[c.at+2])*4, 4, uint64(c.b.Get32(c.at+4)))
	}
	c.showWord()
}

// slotOf is the slot of a device.
func (c *shpc) slotOf(d qdev.Device) (int, error) {
	slot := int(d.(pci.Function).PCI().DevFn() >> 3)
	if slot < 1 || slot > shpcCount {
		return 0, fmt.Errorf("Unsupported PCI slot %d for standard hotplug controller. Valid slots are between %d and %d.", slot, 1, shpcCount)
	}
	return slot - 1, nil
}

// PrePlug implements qdev.HotplugHandler.
func (c *shpc) PrePlug(qdev.Device) error { return nil }

// Plugged implements qdev.HotplugHandler.
func (c *shpc) Plugged(d qdev.Device) error {
	slot, err := c.slotOf(d)
	if err != nil {
		return err
	}
	if !d.Dev().Hotplugged() {
		c.setPresent(slot, true)
		return nil
	}
	if c.field(slot, slotMRLOpen) != 0 {
		c.setPresent(slot, true)
		c.regs[shpcLatch+4*slot] |= latchButton | latchMRL | latchPresence
	} else { // takes back a request to go
		c.regs[shpcLatch+4*slot] |= latchButton
	}
	c.setField(slot, slot66, 0)
	c.update()
	return nil
}

// RequestUnplug implements qdev.HotplugHandler.
func (c *shpc) RequestUnplug(d qdev.Device) error {
	slot, err := c.slotOf(d)
	if err != nil {
		return err
	}
	if c.field(slot, slotState) == stateDisabled && c.field(slot, slotPowerLED) == ledOff {
		c.empty(slot)
	} else {
		c.regs[shpcLatch+4*slot] |= latchButton
	}
	c.setField(slot, slot66, 0)
	c.update()
	return nil
}

// shpcField is the state of a bridge's controller.
func shpcField[T any](at func(*T) *shpc) vmstate.Field[T] {
	return vmstate.Custom("shpc", 0, func(t *T, w *vmstate.Writer) { w.Raw(at(t).regs[:]) }, func(t *T, r *vmstate.Reader) error {
		c := at(t)
		copy(c.regs[:], r.Raw(shpcSize))
		c.asked = false
		c.update()
		return r.Err()
	})
}
